// Commands about nodes and replicas, from the command line's words to what is written, on a fake client.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommanderError } from "commander";
import { describe, expect, it } from "vitest";
import type { MoveDetails, ReplicaView } from "../../src/cli/client-port.ts";
import { describeFailure } from "../../src/cli/failure.ts";
import { progressText } from "../../src/cli/watch-moves.ts";
import { CLUSTER, NODE, run } from "./support.ts";

const MOVE: MoveDetails = {
  topic: "orders",
  partition: 3,
  leaderId: 2,
  replicas: [4, 2, 3],
  previous: [1, 2, 3],
  leaving: [1],
  causeNode: 0,
  cancelled: false,
  isKnown: true,
  replicasBehind: 1,
  bytesLeft: 3 * 1024 * 1024,
};

describe("cli: replicas", () => {
  it("move: names partition and nodes, and says how to look and to stop", async () => {
    const { client, error, terminal } = await run("replica move shop/orders/3 --from 1 --to 4");
    expect(error).toBeUndefined();
    expect(client.calls).toEqual([
      { move: { topic: "shop/orders", partition: 3, fromNode: 1, toNode: 4 } },
    ]);
    expect(terminal.talk.join()).toContain("flotilla replica cancel shop/orders/3");
    expect(client.isClosed).toBe(true);
  });

  it("move --watch: waits until it is not under way any more", async () => {
    const moves = [[MOVE], []];
    const { error, terminal } = await run("-o json replica move orders/3 --from 1 --to 4 -w", {
      moves,
    });
    expect(error).toBeUndefined();
    expect(moves).toEqual([]);
    expect(terminal.talk).toEqual(["orders/3: 1 partition left, about 3.0 MiB to copy"]);
    expect(JSON.parse(terminal.out.join(""))).toMatchObject({ changed: true, done: true });
  });

  it("move --watch: a broker that does not know of the move yet does not end the wait", async () => {
    const moves = [[], [MOVE], []];
    const { error } = await run("replica move orders/3 --from 1 --to 4 -w", {
      moves,
      age: [8, 9, 9],
    });
    expect(error).toBeUndefined();
    expect(moves).toEqual([]);
  });

  it.each(["orders", "orders/", "/3", "orders/x"])("place: %s is refused", async (place) => {
    const { error } = await run(`replica move ${place} --from 1 --to 4`);
    expect(describeFailure(error)).toMatchObject({ exitCode: 64 });
    expect(describeFailure(error).message).toContain("orders/3");
  });

  it("list: who is wanted, who leaves, why, how far", async () => {
    const { terminal } = await run("replica ls", {
      moves: [[MOVE, { ...MOVE, partition: 4, isKnown: false, causeNode: 1, cancelled: true }]],
    });
    const lines = terminal.out.join("").split("\n");
    expect(lines[1]).toMatch(/orders\/3 +2 +4,2,3 +1 +moved +1 +3\.0 MiB/);
    expect(lines[2]).toMatch(/orders\/4 .* node 1 leaves, cancelled +\? +\?/);
  });

  it("cancel: without a move the answer is no", async () => {
    const { error } = await run("replica cancel orders/3");
    expect(error).toMatchObject({ exitCode: 1 });
    expect((await run("replica cancel orders/3", { moves: [] })).error).toBeUndefined();
  });

  it("progress: sums what is known and says when more may come", () => {
    expect(progressText([MOVE, MOVE], 5)).toBe("5 partitions left, about 6.0 MiB to copy");
    expect(progressText([MOVE, { ...MOVE, isKnown: false }], 5)).toContain("or more");
    expect(progressText([], 1)).toBe("1 partition left");
    const lost = { ...MOVE, leaderId: 0, isKnown: false };
    expect(progressText([lost], 1)).toBe("1 partition left, 1 without a leader");
  });
});

describe("cli: nodes", () => {
  it("list: state, role and what each holds, in order", async () => {
    const nodes = [
      { ...NODE, nodeId: 4, decommissioning: true, partitionsLeft: 2, metadataVoter: false },
      { ...NODE, nodeId: 2, fenced: true },
      NODE,
    ];
    const { terminal } = await run("node list", {
      clusters: [{ ...CLUSTER, nodes, movingPartitions: 2 }],
    });
    const lines = terminal.out.join("").split("\n");
    expect(lines[1]).toMatch(/^ +1 +in service +leader +2 +6/);
    expect(lines[2]).toMatch(/^ +2 +out of service +voter/);
    expect(lines[3]).toMatch(/^ +4 +leaving, 2 partitions left +learner/);
    expect(terminal.talk.join()).toContain("replica list");
  });

  it("decommission --watch: until the node is gone", async () => {
    const leaving = { ...NODE, nodeId: 5, decommissioning: true };
    const clusters = [
      // Not as new as the change.
      { ...CLUSTER, metadataIndex: 8 },
      { ...CLUSTER, nodes: [NODE, leaving] },
      { ...CLUSTER, nodes: [NODE, { ...leaving, partitionsLeft: 0 }] },
      CLUSTER,
    ];
    const { client, error, terminal } = await run("node decommission 5 --watch", { clusters });
    expect(error).toBeUndefined();
    expect(client.calls).toEqual([
      { decommission: { nodeId: 5, replacementNode: undefined, onlyIfFenced: false } },
    ]);
    expect(clusters).toEqual([]);
    expect(terminal.talk.join("\n")).toMatch(
      /node 5: 6 partitions left(.|\n)*not a member any more/,
    );
  });

  it("decommission --watch: cancelled by somebody else is a failure", async () => {
    const { error } = await run("node decommission 1 --watch", { clusters: [CLUSTER] });
    expect(describeFailure(error).exitCode).toBe(1);
    expect(describeFailure(error).message).toContain("cancelled");
  });

  it("replace: only a node that is out of service, by the one that is named", async () => {
    const { client } = await run("node replace 2 --with 4");
    expect(client.calls).toEqual([
      { decommission: { nodeId: 2, replacementNode: 4, onlyIfFenced: true } },
    ]);
    const missing = await run("node replace 2");
    expect(missing.error).toBeInstanceOf(CommanderError);
  });

  it("cancel: says what goes back; a node that was not leaving is a failure", async () => {
    expect((await run("node cancel 5")).terminal.talk.join()).toContain("1 partitions go back");
    expect((await run("node cancel 9")).error).toMatchObject({ exitCode: 1 });
  });

  it("rebalance: plans unless told to execute", async () => {
    const planned = await run("cluster rebalance");
    expect(planned.client.calls).toEqual([{ rebalance: false }]);
    expect(planned.terminal.out.join("")).toMatch(/orders\/0 +1 +4/);
    const begun = await run("-o json cluster rebalance --execute");
    expect(begun.client.calls).toEqual([{ rebalance: true }]);
    expect((await run("cluster rebalance --plan --execute")).error).toMatchObject({ exitCode: 64 });
    expect((await run("cluster rebalance --watch")).error).toMatchObject({ exitCode: 64 });
  });

  it("metadata-voters: asks for the number", async () => {
    expect((await run("cluster metadata-voters 5")).client.calls).toEqual([{ voters: 5 }]);
  });

  it.each([
    "node --help",
    "node decommission --help",
    "node replace --help",
    "replica move --help",
    "cluster rebalance --help",
  ])("%s: teaches by example", async (words) => {
    const { help } = await run(words);
    expect(help).toContain("$ flotilla");
  });
});

describe("cli: cluster init --join", () => {
  it("on a machine of its own: asks a broker which cluster it is and how it was founded", async () => {
    const folder = mkdtempSync(join(tmpdir(), "flotilla-join-"));
    try {
      const lines = [3, 9].map(
        (id) =>
          `  - { id: ${id}, dataDir: node-${id}, client: "127.0.0.1:${id}001", peer: "127.0.0.1:${id}002", admin: "127.0.0.1:${id}003" }`,
      );
      writeFileSync(join(folder, "cluster.yaml"), ["cluster: c", "nodes:", ...lines].join("\n"));
      const { error } = await run(`--config ${join(folder, "cluster.yaml")} cluster init --join 9`);
      expect(error).toBeUndefined();
      const file = JSON.parse(readFileSync(join(folder, "node-9", "node.json"), "utf8")) as object;
      // Of the founding, although this file names other nodes.
      expect(file).toMatchObject({ clusterId: "c-1", nodeId: 9, metadataVoters: [1, 2, 3] });
      expect(file).not.toHaveProperty("metadataRevision");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

const VIEW: ReplicaView = {
  nodeId: 2,
  replicaId: 8194,
  lastTerm: 5,
  lastIndex: 120,
  commitIndex: 118,
  endOffset: 1200,
  highWatermark: 1180,
  logStartOffset: 0,
  voters: [2, 1, 3],
  votersAlive: [2],
  leaderId: 0,
  quorumAnswers: false,
  recovering: [],
};

describe("cli: unsafe-recover", () => {
  const words = "unsafe-recover orders/0";

  it("without somebody to ask: says what would be lost, changes nothing, names the word that would", async () => {
    const { client, error, terminal } = await run(words, { replicas: [VIEW] });
    expect(describeFailure(error).exitCode).toBe(64);
    expect(describeFailure(error).advice).toContain("--from 2 --yes-i-accept-data-loss");
    expect(client.calls).toEqual([]);
    const talk = terminal.talk.join("\n");
    expect(talk).toContain("log ends at index 120, offset 1200");
    expect(talk).toContain("whatever only node 1, 3 had");
    expect(talk).toContain("2 entries from offset 1180 on are not known to be committed");
    expect(terminal.out.join("")).toMatch(/ 1 +no +no +– +–/);
  });

  it("asks for the partition's name; anything else changes nothing", async () => {
    const declined = await run(words, { replicas: [VIEW], typed: "yes" });
    expect(describeFailure(declined.error).exitCode).toBe(1);
    const accepted = await run(words, { replicas: [VIEW], typed: "orders/0" });
    expect(accepted.error).toBeUndefined();
    expect(accepted.client.calls.at(-1)).toEqual({
      recover: { topic: "orders", partition: 0 },
      from: 2,
    });
  });

  it("survivors: the longest log is taken unless another is named, with a warning then", async () => {
    const replicas = [VIEW, { ...VIEW, nodeId: 3, lastTerm: 6, lastIndex: 90 }];
    const yes = `${words} --yes-i-accept-data-loss`;
    expect((await run(yes, { replicas })).client.calls.at(-1)).toMatchObject({ from: 3 });
    const named = await run(`${yes} --from 2`, { replicas });
    expect(named.client.calls.at(-1)).toMatchObject({ from: 2 });
    expect(named.terminal.talk.join()).toContain("Warning: node 3 has more");
    expect(describeFailure((await run(`${yes} --from 1`, { replicas })).error).exitCode).toBe(1);
  });

  it.each([
    { leaderId: 3, quorumAnswers: true },
    { votersAlive: [2, 1], quorumAnswers: true },
  ])("a quorum that answers: refused before anybody is asked (%j)", async (fields) => {
    const { client, error } = await run(words, {
      replicas: [{ ...VIEW, ...fields }],
      typed: "orders/0",
    });
    expect(describeFailure(error).exitCode).toBe(1);
    expect(client.calls).toEqual([]);
  });

  it("metadata: wants the node to be named", async () => {
    const { error } = await run("unsafe-recover metadata");
    expect(describeFailure(error).exitCode).toBe(64);
  });

  it("no survivor, no such partition: failures of their own", async () => {
    expect(describeFailure((await run(words)).error).message).toContain("no node");
    expect(describeFailure((await run("unsafe-recover orders/7")).error).exitCode).toBe(65);
  });
});
