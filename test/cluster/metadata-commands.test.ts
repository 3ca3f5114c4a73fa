import { describe, expect, test } from "vitest";
import {
  decodeMetadataCommand,
  encodeMetadataCommand,
  type MetadataCommand,
} from "../../src/cluster/metadata-commands.ts";
import {
  creation,
  definition,
  group,
  id,
  node,
  reasonOf,
  registration,
  subscription,
  topicId,
} from "./support.ts";

const ALL: readonly MetadataCommand[] = [
  registration(7),
  { type: "fence-node", nodeId: node(2), incarnation: 4 },
  { type: "unfence-node", nodeId: node(2), incarnation: 4 },
  { ...creation("orders", 3, 2), settings: { flush: "async" } },
  { type: "alter-topic", topicId: topicId("t"), settings: { flush: "" } },
  { type: "delete-topic", topicId: topicId("t") },
  { type: "allocate-producer-ids", nodeId: node(1), count: 1000 },
  { type: "open-producer", name: "billing" },
  {
    type: "open-producer",
    name: "billing",
    token: "t",
    previous: { producerId: 2, epoch: 32_767 },
  },
  { type: "replace-replicas", nodeId: node(3), directoryId: "d" },
  { type: "raise-feature-level", level: 2 },
  { type: "move-replica", groupId: group(7), from: node(1), to: node(4) },
  { type: "move-replica", groupId: group(7), from: 0, to: node(4) },
  { type: "recover-group", groupId: group(7), nodeId: node(1), replicaId: id(1, 9) },
  { type: "recover-metadata", nodeId: node(1), revision: 2_000_000_009 },
  { type: "cancel-move", groupId: group(7) },
  { type: "finish-move", groupId: group(7), changeIndex: 12 },
  { type: "decommission-node", nodeId: node(3), successor: 0, mustBeFenced: false },
  { type: "decommission-node", nodeId: node(3), successor: node(4), mustBeFenced: true },
  { type: "cancel-decommission", nodeId: node(3) },
  { type: "continue-decommission", nodeId: node(3), decommissionIndex: 12 },
  { type: "unregister-node", nodeId: node(3), decommissionIndex: 12 },
  { type: "set-metadata-voters", count: 5 },
  subscription("plain"),
  subscription("patterns", {
    topics: { kind: "patterns", patterns: ["shop/#"] },
    filter: '{"kind":"tags","tags":["a"]}',
    mode: "fifo",
    onFailure: "park",
    deadLetterTopic: undefined,
    start: { kind: "time", timeMs: 5 },
    pausedUntilMs: Number.MAX_SAFE_INTEGER,
  }),
  subscription("regex", { topics: { kind: "regex", regex: "a.*" }, start: { kind: "latest" } }),
  {
    type: "alter-subscription",
    subscriptionId: "s",
    version: 7,
    definition: definition("plain"),
  },
  { type: "delete-subscription", subscriptionId: "s" },
];

function createdWith(fields: object): object {
  const { definition: whole, ...command } = subscription("s");
  return { v: 1, ...command, definition: { ...whole, ...fields } };
}

function openingWith(fields: object): object {
  return { v: 1, type: "open-producer", name: "p", ...fields };
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

describe("metadata commands", () => {
  test.each(ALL)("codec: $type comes back as it was", (command) => {
    expect(decodeMetadataCommand(encodeMetadataCommand(command))).toEqual(command);
  });

  test("form: version and type stand in front (stored bytes)", () => {
    const bytes = encodeMetadataCommand({ type: "delete-topic", topicId: topicId("t-1") });
    expect(bytes.toString()).toBe('{"v":1,"type":"delete-topic","topicId":"t-1"}');
  });

  test.each([
    ["unknown type", { v: 1, type: "split-topic" }],
    ["newer version", { v: 2, type: "delete-topic", topicId: "t" }],
    ["name of an inherited property", { v: 1, type: "toString" }],
  ])("versions: %s stops the replica", async (_, value) => {
    expect(await reasonOf(() => decodeMetadataCommand(json(value)))).toBe("UNSUPPORTED_VERSION");
  });

  test.each([
    ["no object", [1]],
    ["no version", { type: "delete-topic" }],
    ["bad node id", { v: 1, type: "fence-node", nodeId: 4096, incarnation: 1 }],
    ["fraction", { v: 1, type: "fence-node", nodeId: 1.5, incarnation: 1 }],
    ["move of the metadata group", { v: 1, type: "cancel-move", groupId: 0 }],
    ["even number of voters", { v: 1, type: "set-metadata-voters", count: 4 }],
    ["missing field", { v: 1, type: "alter-topic", topicId: "t" }],
    ["setting of another type", { v: 1, type: "alter-topic", topicId: "t", settings: { a: 1 } }],
    ["subscription without definition", { v: 1, type: "create-subscription", subscriptionId: "s" }],
    ["subscription of unknown mode", createdWith({ mode: "broadcast" })],
    ["subscription of no topics", createdWith({ topics: { kind: "names", names: [] } })],
    ["subscription of unknown selection", createdWith({ topics: { kind: "all" } })],
    ["subscription from an offset", createdWith({ start: { kind: "offset", offset: 3 } })],
    ["subscription with a bad delay", createdWith({ retry: { attemptsMax: 1, delaysMs: [-1] } })],
    ["subscription whose filter is no text", createdWith({ filter: { kind: "all" } })],
    ["token of no length", openingWith({ token: "" })],
    ["token of another type", openingWith({ token: 7 })],
    ["token of 65 characters", openingWith({ token: "t".repeat(65) })],
    ["previous session without epoch", openingWith({ previous: { producerId: 2 } })],
    ["previous epoch below 0", openingWith({ previous: { producerId: 2, epoch: -1 } })],
    ["previous epoch of 17 bits", openingWith({ previous: { producerId: 2, epoch: 32_768 } })],
    ["empty range", { v: 1, ...registration(1), features: { min: 2, max: 1 } }],
  ])("shape: %s is refused before it gets into the log", async (_, value) => {
    expect(await reasonOf(() => decodeMetadataCommand(json(value)))).toBe("INVALID_REQUEST");
  });

  test("shape: bytes that are no JSON are refused", async () => {
    expect(await reasonOf(() => decodeMetadataCommand(Buffer.from("{")))).toBe("INVALID_REQUEST");
  });
});
