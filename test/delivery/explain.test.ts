// Every fate that a message can have for a subscription, told as it is: one row per state of src/delivery/explain.ts.
import { describe, expect, it } from "vitest";
import type { DeliveryRunner } from "../../src/delivery/delivery-runner.ts";
import { explain, type MessageFate } from "../../src/delivery/explain.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { type FakeStream, type Stage, stageOf, TOPIC_ID } from "./fake-partition.ts";
import { rowOf, SUB } from "./support.ts";

/** VirtualClock's wall time at the beginning. */
const BEGIN_MS = Date.UTC(2026, 0, 1);
const SQL = JSON.stringify({ kind: "sql", expression: "region = 'eu'" });
const K = Buffer.from("k");

type Definition = NonNullable<Parameters<typeof rowOf>[0]>;
type Kind = "ack" | "nack" | "reject" | "extend";
type Prepare = (stage: Stage, stream: FakeStream) => void | Promise<void>;

interface State {
  readonly title: string;
  readonly definition?: Definition;
  /** Messages: keys, by offset; "" is none. Region "us" is of those whose key is "us". */
  readonly keys: readonly string[];
  /** Nobody consumes. */
  readonly isIdle?: boolean;
  readonly credit?: number;
  readonly prepare?: Prepare;
  readonly offset: number;
  readonly fate: MessageFate;
  readonly sentence: string;
  readonly failed?: number;
  readonly handedOut?: number;
}

const ONCE = {
  attemptsMax: 1,
  delaysMs: [],
  initialMs: 1,
  maxMs: 1,
  multiplierPercent: 100,
  jitterPercent: 0,
};
const THRICE = { ...ONCE, attemptsMax: 3 };

/** Says it of the newest delivery of an offset. */
function settle(stream: FakeStream, kind: Kind, offset: number, retryAtMs = 0): void {
  const delivery = stream.deliveries.findLast(({ messages }) =>
    messages.some((message) => message.offset === offset),
  );
  const { channel = 0, deliveryNumber = 0 } = delivery ?? {};
  const number = deliveryNumber;
  const error = kind === "nack" || kind === "reject" ? "boom" : "";
  const ranges = [offset, 1];
  stream.say({
    settle: [
      { number, channel, deliveryNumber, kind, ranges, cumulative: false, retryAtMs, error },
    ],
  });
}

/** Settles, and lets time pass so that it is in force. */
function settling(kind: Kind, offset: number, ms = 0, retryAtMs = 0): Prepare {
  return async ({ clock }, stream) => {
    settle(stream, kind, offset, retryAtMs);
    await clock.run(ms);
  };
}

function dropBelow(logStartOffset: number): Prepare {
  return ({ partition }) => {
    partition.logStartOffset = logStartOffset;
    const { highWatermark: baseOffset } = partition;
    partition.deliveries.logStartMoved({ term: 1, baseOffset, logStartOffset }, []);
  };
}

/** Another version of the definition. */
function alter(definition: Definition): Prepare {
  return async ({ clock, directory }) => {
    directory.set([rowOf({ ...definition, version: 6 })]);
    await clock.run(0);
  };
}

const UNWANTED = `It is settled, acknowledged by a consumer or passed over by a filter (the subscription was altered, so that nobody knows which); its present filter does not want it: ${SQL}.`;

const STATES: readonly State[] = [
  {
    title: "ready: nobody consumes",
    keys: ["", ""],
    isIdle: true,
    offset: 1,
    fate: { kind: "ready" },
    sentence: "It is handed out as soon as a consumer has credit.",
  },
  {
    title: "ready: not read yet, beyond the credit",
    keys: ["", "", ""],
    credit: 1,
    offset: 2,
    fate: { kind: "ready" },
    sentence: "It is handed out as soon as a consumer has credit.",
  },
  {
    title: "leased: to whom, until when",
    keys: [""],
    offset: 0,
    fate: { kind: "leased", consumerId: "c1", untilMs: BEGIN_MS + 30_000 },
    handedOut: 1,
    sentence: "Consumer c1 has it, until 2026-01-01T00:00:30.000Z.",
  },
  {
    title: "leased: extended",
    keys: [""],
    prepare: async (stage, stream) => {
      await stage.clock.run(20_000);
      await settling("extend", 0)(stage, stream);
    },
    offset: 0,
    fate: { kind: "leased", consumerId: "c1", untilMs: BEGIN_MS + 50_000 },
    handedOut: 1,
    sentence: "Consumer c1 has it, until 2026-01-01T00:00:50.000Z.",
  },
  {
    title: "leased: again, after a failure",
    keys: [""],
    prepare: settling("nack", 0, 1000),
    definition: { retry: THRICE },
    offset: 0,
    fate: { kind: "leased", consumerId: "c1", untilMs: BEGIN_MS + 30_001 },
    handedOut: 2,
    failed: 1,
    sentence: "Consumer c1 has it, until 2026-01-01T00:00:30.001Z. It failed once.",
  },
  {
    title: "settled: acknowledged and replicated",
    keys: [""],
    prepare: settling("ack", 0),
    offset: 0,
    fate: { kind: "settled" },
    sentence: "It is settled.",
  },
  {
    title: "settling: acknowledged, not replicated yet",
    keys: [""],
    prepare: (stage, stream) => {
      stage.partition.isHeld = true;
      return settling("ack", 0)(stage, stream);
    },
    offset: 0,
    fate: { kind: "settling" },
    sentence: "It is settled; that is being replicated.",
  },
  {
    title: "settled: before the start of the subscription",
    keys: ["", ""],
    prepare: async (stage) => {
      stage.directory.set([]);
      await stage.clock.run(0);
      stage.directory.set([rowOf({ start: { kind: "latest" } })]);
      await stage.clock.run(0);
    },
    isIdle: true,
    offset: 1,
    fate: { kind: "settled" },
    sentence: "It is settled.",
  },
  {
    title: "filtered: read and passed over",
    definition: { filter: SQL },
    keys: ["us", "eu"],
    offset: 0,
    fate: { kind: "filtered", filter: SQL },
    sentence: `The filter does not want it: ${SQL}.`,
  },
  {
    title: "filtered: nobody has read it yet",
    definition: { filter: SQL },
    keys: ["eu", "us"],
    isIdle: true,
    offset: 1,
    fate: { kind: "filtered", filter: SQL },
    sentence: `The filter does not want it: ${SQL}.`,
  },
  {
    title:
      "settled: whether by a consumer or by a filter is not known once the subscription was altered",
    keys: ["us"],
    prepare: async (stage, stream) => {
      await settling("ack", 0)(stage, stream);
      await alter({ filter: SQL })(stage, stream);
    },
    offset: 0,
    fate: { kind: "settled", unwantedBy: SQL },
    sentence: UNWANTED,
  },
  {
    title: "settled: by a filter, and the subscription was altered: that is not known, either",
    definition: { filter: SQL },
    keys: ["us", "eu"],
    prepare: async (stage, stream) => {
      await settling("ack", 1)(stage, stream);
      await alter({ filter: SQL, ackDeadlineMs: 5000 })(stage, stream);
    },
    offset: 0,
    fate: { kind: "settled", unwantedBy: SQL },
    sentence: UNWANTED,
  },
  {
    title: "settled: what a former filter passed over does not come back",
    definition: { filter: SQL },
    keys: ["us", "eu"],
    prepare: async (stage, stream) => {
      await settling("ack", 1)(stage, stream);
      await alter({})(stage, stream);
    },
    offset: 0,
    fate: { kind: "settled" },
    sentence: "It is settled.",
  },
  {
    title: "settling: acknowledged, whatever another filter says",
    keys: ["us"],
    prepare: async (stage, stream) => {
      stage.partition.isHeld = true;
      await settling("ack", 0)(stage, stream);
      await alter({ filter: SQL })(stage, stream);
    },
    offset: 0,
    fate: { kind: "settling" },
    sentence: "It is settled; that is being replicated.",
  },
  {
    title: "parked: it parked its key itself, whatever another filter says",
    definition: { mode: "keyed", onFailure: "park", retry: ONCE },
    keys: ["us"],
    prepare: async (stage, stream) => {
      await settling("nack", 0)(stage, stream);
      await alter({ mode: "keyed", onFailure: "park", retry: ONCE, filter: SQL })(stage, stream);
    },
    offset: 0,
    fate: { kind: "parked", behindOffset: 0, key: Buffer.from("us") },
    handedOut: 1,
    failed: 1,
    sentence:
      'The message at offset 0 failed for good and parked the order of key "us". It failed once.',
  },
  {
    title: "filtered: another filter does not want it, and nobody has read it yet",
    keys: ["eu", "us"],
    isIdle: true,
    prepare: alter({ filter: SQL }),
    offset: 1,
    fate: { kind: "filtered", filter: SQL },
    sentence: `The filter does not want it: ${SQL}.`,
  },
  {
    title: "ready (keyed): the first one that nobody has read",
    definition: { mode: "keyed", onFailure: "park" },
    keys: ["k", "k"],
    isIdle: true,
    offset: 0,
    fate: { kind: "ready" },
    sentence: "It is handed out as soon as a consumer has credit.",
  },
  {
    title: "ready (keyed): nobody consumes, and perhaps an earlier one of its key is not settled",
    definition: { mode: "keyed", onFailure: "park" },
    keys: ["k", "other", "k"],
    isIdle: true,
    offset: 2,
    fate: { kind: "ready", unread: { offset: 0, key: K } },
    sentence:
      'It is handed out as soon as a consumer has credit and nothing comes before it in the order of key "k"; from offset 0 on nobody has looked yet.',
  },
  {
    title: "ready (keyed): without a key it has no order, whoever has read what",
    definition: { mode: "keyed", onFailure: "park" },
    keys: ["k", ""],
    isIdle: true,
    offset: 1,
    fate: { kind: "ready" },
    sentence: "It is handed out as soon as a consumer has credit.",
  },
  {
    title: "ready (keyed): everything before it is settled",
    definition: { mode: "keyed", onFailure: "park" },
    keys: ["k", "k"],
    prepare: async (stage, stream) => {
      await settling("ack", 0)(stage, stream);
      stream.close();
      await stage.clock.run(60_000);
    },
    offset: 1,
    fate: { kind: "ready" },
    sentence: "It is handed out as soon as a consumer has credit.",
  },
  {
    title: "ready (fifo): nobody consumes; messages without a key are in order, too",
    definition: { mode: "fifo", onFailure: "park" },
    keys: ["", ""],
    isIdle: true,
    offset: 1,
    fate: { kind: "ready", unread: { offset: 0, key: undefined } },
    sentence:
      "It is handed out as soon as a consumer has credit and nothing comes before it in the order of messages without a key; from offset 0 on nobody has looked yet.",
  },
  {
    title: "waiting (keyed): an earlier one of its key is out",
    definition: { mode: "keyed", onFailure: "park" },
    keys: ["k", "other", "k"],
    offset: 2,
    fate: { kind: "waiting", behindOffset: 0, key: K },
    sentence:
      'It waits for the message at offset 0, which comes before it in the order of key "k".',
  },
  {
    title: "waiting (keyed): an earlier one of its key is tried again later",
    definition: { mode: "keyed", onFailure: "park" },
    keys: ["k", "k"],
    prepare: settling("nack", 0),
    offset: 1,
    fate: { kind: "waiting", behindOffset: 0, key: K },
    sentence:
      'It waits for the message at offset 0, which comes before it in the order of key "k".',
  },
  {
    title: "waiting (fifo): messages without a key are in order, too",
    definition: { mode: "fifo", onFailure: "park" },
    keys: ["", ""],
    offset: 1,
    fate: { kind: "waiting", behindOffset: 0, key: undefined },
    sentence:
      "It waits for the message at offset 0, which comes before it in the order of messages without a key.",
  },
  {
    title: "waiting (exclusive): the partition waits for a failed one",
    definition: { mode: "exclusive", onFailure: "stop" },
    keys: ["", "", ""],
    prepare: settling("nack", 1),
    offset: 2,
    fate: { kind: "waiting", behindOffset: 1, key: undefined },
    handedOut: 1,
    sentence:
      "It waits for the message at offset 1, which comes before it in the order of its partition.",
  },
  {
    title: "delayed: until its next attempt",
    keys: [""],
    prepare: settling("nack", 0),
    offset: 0,
    fate: { kind: "delayed", untilMs: BEGIN_MS + 1000 },
    handedOut: 1,
    failed: 1,
    sentence: "It is tried again at 2026-01-01T00:00:01.000Z. It failed once.",
  },
  {
    title: "delayed: until the time that its consumer asked for",
    keys: [""],
    prepare: settling("nack", 0, 0, BEGIN_MS + 90_000),
    offset: 0,
    fate: { kind: "delayed", untilMs: BEGIN_MS + 90_000 },
    handedOut: 1,
    failed: 1,
    sentence: "It is tried again at 2026-01-01T00:01:30.000Z. It failed once.",
  },
  {
    title: "parked: it parked its key itself",
    definition: { mode: "keyed", onFailure: "park", retry: ONCE },
    keys: ["k"],
    prepare: settling("nack", 0),
    offset: 0,
    fate: { kind: "parked", behindOffset: 0, key: K },
    handedOut: 1,
    failed: 1,
    sentence:
      'The message at offset 0 failed for good and parked the order of key "k". It failed once.',
  },
  {
    title: "parked: an earlier one parked its key",
    definition: { mode: "fifo", onFailure: "park", retry: ONCE },
    keys: ["k", "", "k"],
    prepare: settling("reject", 0),
    offset: 2,
    fate: { kind: "parked", behindOffset: 0, key: K },
    sentence: 'The message at offset 0 failed for good and parked the order of key "k".',
  },
  {
    title: "paused: until a time",
    definition: { pausedUntilMs: BEGIN_MS + 60_000 },
    keys: [""],
    offset: 0,
    fate: { kind: "paused", untilMs: BEGIN_MS + 60_000, stoppedAt: undefined },
    sentence: "The subscription is paused until 2026-01-01T00:01:00.000Z.",
  },
  {
    title: "paused: until it is resumed",
    definition: { pausedUntilMs: Number.MAX_SAFE_INTEGER },
    keys: [""],
    offset: 0,
    fate: { kind: "paused", untilMs: Number.MAX_SAFE_INTEGER, stoppedAt: undefined },
    sentence: "The subscription is paused until it is resumed.",
  },
  {
    title: "paused: the partition is stopped",
    definition: { mode: "exclusive", onFailure: "stop", retry: ONCE },
    keys: ["", "", ""],
    credit: 2,
    prepare: settling("nack", 0),
    offset: 2,
    fate: { kind: "paused", untilMs: 0, stoppedAt: 0 },
    sentence: "The partition is stopped: the message at offset 0 failed for good.",
  },
  {
    title: "parked: it stopped the partition itself",
    definition: { mode: "exclusive", onFailure: "stop", retry: ONCE },
    keys: ["k"],
    prepare: settling("nack", 0),
    offset: 0,
    fate: { kind: "parked", behindOffset: 0, key: undefined },
    failed: 1,
    sentence:
      "The message at offset 0 failed for good and parked the order of its partition. It failed once.",
  },
  {
    title: "dead: with its attempts, until the dead letter topic has it",
    definition: { retry: THRICE },
    keys: [""],
    prepare: async (stage, stream) => {
      stage.sinkRefusals.push(
        ...Array.from({ length: 50 }, () => new BrokerError("OVERLOADED", "full", { limit: "x" })),
      );
      for (let attempt = 0; attempt < 3; attempt += 1) await settling("nack", 0, 10)(stage, stream);
    },
    offset: 0,
    fate: { kind: "dead" },
    handedOut: 3,
    failed: 3,
    sentence: "It failed for good and goes to the dead letter topic. It failed 3 times.",
  },
  {
    title: "settled: the dead letter topic has it",
    definition: { retry: ONCE },
    keys: [""],
    prepare: settling("nack", 0, 10),
    offset: 0,
    fate: { kind: "settled" },
    sentence: "It is settled.",
  },
  {
    title: "absent: beyond the end",
    keys: ["", ""],
    offset: 2,
    fate: { kind: "absent" },
    sentence: "There is no such message: it was never written, or retention dropped it.",
  },
  {
    title: "absent: dropped by retention, settled or not",
    keys: ["", "", ""],
    isIdle: true,
    prepare: dropBelow(2),
    offset: 1,
    fate: { kind: "absent" },
    sentence: "There is no such message: it was never written, or retention dropped it.",
  },
];

function runnerOf(stage: Stage): DeliveryRunner {
  const runner = stage.host.get(TOPIC_ID, 0)?.runner(SUB);
  if (runner === undefined) throw new Error("not served");
  return runner;
}

describe("explain", () => {
  it.each(STATES.map((state) => [state.title, state] as const))("%s", async (_, state) => {
    const { definition, keys, credit = 1000, isIdle = false, prepare } = state;
    const stage = await stageOf([rowOf(definition)]);
    for (const key of keys) {
      const headers = { region: key === "us" ? "us" : "eu" };
      stage.partition.append({ value: "x", headers, ...(key === "" ? {} : { key }) });
    }
    const stream = stage.open({}, { messages: isIdle ? 0 : credit, bytes: 1_000_000 });
    if (isIdle) stream.close();
    await stage.clock.run(0);
    await prepare?.(stage, stream);
    const told = await stage.clock.until(explain(runnerOf(stage), state.offset));
    expect({ ...told, failure: told.failure?.failed ?? 0 }).toEqual({
      fate: state.fate,
      sentence: state.sentence,
      handedOut: state.handedOut ?? told.handedOut,
      failure: state.failed ?? 0,
    });
    expect(stream.refusals).toEqual([]);
  });

  it("attempts: each with its time, its cause and what the consumer said", async () => {
    const stage = await stageOf([rowOf({ retry: THRICE, ackDeadlineMs: 1000 })]);
    stage.partition.append("x");
    const stream = stage.open({ reportsBegun: false });
    await stage.clock.run(0);
    settle(stream, "nack", 0);
    await stage.clock.run(1001);
    const { failure } = await stage.clock.until(explain(runnerOf(stage), 0));
    expect(failure?.attempts).toEqual([
      { timeMs: BEGIN_MS, cause: "nack", error: "boom" },
      { timeMs: BEGIN_MS + 1001, cause: "deadline", error: "" },
    ]);
  });

  it("every state has a row", () => {
    const kinds = new Set(STATES.map(({ fate }) => fate.kind));
    const known: Record<MessageFate["kind"], true> = {
      ready: true,
      settled: true,
      settling: true,
      leased: true,
      filtered: true,
      waiting: true,
      parked: true,
      delayed: true,
      dead: true,
      paused: true,
      absent: true,
    };
    expect([...kinds].sort()).toEqual(Object.keys(known).sort());
  });
});
