import { describe, expect, test } from "vitest";
import type { Acks, Flush } from "../../src/model/durability.ts";
import { BrokerError } from "../../src/model/errors.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { BATCH_BYTES_MAX } from "../../src/model/limits.ts";
import { PARKED_ACKS_MAX } from "../../src/partition/append-path.ts";
import { noPartitionMetrics } from "../../src/partition/partition-metrics.ts";
import { PartitionState } from "../../src/partition/partition-state.ts";
import {
  batchOfValues,
  type Fixture,
  logValues,
  makePartition,
  Outcome,
  producerBatch,
  request,
  settle,
} from "./fixture.ts";

const NONE = undefined;

function caught(run: () => void): BrokerError {
  try {
    run();
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("append path: refusals leave no trace", () => {
  const good = (): Buffer => batchOfValues(["a", "b"]);
  const damaged = (change: (batch: Buffer) => void): Buffer => {
    const batch = good();
    change(batch);
    return batch;
  };
  const cases: readonly (readonly [
    string,
    (fixture: Fixture) => Parameters<Fixture["partition"]["append"]>[0],
    string,
    Record<string, unknown>,
    Parameters<typeof makePartition>[0]?,
  ])[] = [
    ["stale layout", () => request(good(), { layoutEpoch: 9 }), "STALE_LAYOUT", { layoutEpoch: 1 }],
    [
      "larger than any batch may be",
      () => request(Buffer.alloc(BATCH_BYTES_MAX + 1)),
      "RECORD_TOO_LARGE",
      { bytesMax: BATCH_BYTES_MAX },
    ],
    [
      "larger than the topic's messages may be",
      () => request(batchOfValues(["x".repeat(200)])),
      "RECORD_TOO_LARGE",
      { bytesMax: 100 },
      { settings: { messageBytesMax: 100 } },
    ],
    [
      "hints that are none",
      () => ({ ...request(good()), hints: Buffer.from([1, 2, 0]) }),
      "INVALID_REQUEST",
      { field: "batches.hints", limit: 258 },
    ],
    [
      "a flipped bit",
      () => request(damaged((batch) => batch.writeUInt8(batch.readUInt8(65) ^ 1, 65))),
      "CORRUPT_BATCH",
      { field: "crc" },
    ],
    [
      "cut short",
      () => request(good().subarray(0, 70)),
      "MALFORMED_BATCH",
      { field: "batchLength" },
    ],
    ["no header", () => request(Buffer.alloc(5)), "MALFORMED_BATCH", { field: "batchLength" }],
    [
      "another version of the format",
      () => request(damaged((batch) => batch.writeInt8(1, 16))),
      "MALFORMED_BATCH",
      { field: "magic" },
    ],
    [
      "acks too weak",
      () => request(good(), { acks: "leader" }),
      "ACKS_TOO_WEAK",
      { minAcks: "all" },
      { settings: { minAcks: "all" } },
    ],
    ["unknown producer", () => request(producerBatch(2, 7)), "UNKNOWN_PRODUCER", {}],
    [
      "the node takes no records",
      () => request(good()),
      "SHUTTING_DOWN",
      {},
      { environment: { produceRefusal: () => new BrokerError("SHUTTING_DOWN", "stopping") } },
    ],
    [
      "the replica refuses",
      ({ replica }) => {
        replica.refusal = new BrokerError("OVERLOADED", "full", { limit: "uncommittedBytes" });
        return request(good());
      },
      "OVERLOADED",
      { limit: "uncommittedBytes" },
    ],
    [
      "another node leads",
      ({ replica }) => {
        replica.stepDown();
        return request(good());
      },
      "NOT_LEADER",
      { leaderId: 2, leaderEpoch: 3, leaderEndpoint: "node2:1" },
      { environment: { endpointOf: (node: NodeId) => `node${node}:1` } },
    ],
    [
      "nobody leads",
      ({ replica }) => {
        replica.stepDown(NONE, 0);
        return request(good());
      },
      "LEADER_UNKNOWN",
      {},
    ],
    [
      "elected, not ready",
      ({ replica }) => {
        replica.stepDown(NONE, 1 as NodeId);
        return request(good());
      },
      "LEADER_UNKNOWN",
      {},
    ],
  ];
  for (const [title, make, reason, fields, options] of cases) {
    test(`${reason}: ${title}`, () => {
      const fixture = makePartition(options);
      const { partition, replica } = fixture;
      const ask = make(fixture);
      const before = replica.lastIndex;
      const outcome = new Outcome();
      const error = caught(() => partition.submit(ask, outcome));
      expect(error.reason).toBe(reason);
      expect(error.fields).toEqual(fields);
      expect(replica.lastIndex).toBe(before);
      expect(outcome.isSettled).toBe(false);
      expect(partition.appends.parkedAcks).toBe(0);
      expect(partition.appends.overlay.length).toBe(0);
    });
  }

  test("SEQUENCE_GAP, PRODUCER_FENCED, DUPLICATE_OUT_OF_WINDOW: checked against uncommitted batches too", () => {
    const { partition, replica } = makePartition();
    for (let sequence = 0; sequence < 3; sequence += 1) {
      partition.submit(request(producerBatch(2, sequence, 1, 1)), new Outcome());
    }
    const before = replica.lastIndex;
    const refusalOf = (batch: Buffer): BrokerError =>
      caught(() => partition.submit(request(batch), new Outcome()));
    expect(refusalOf(producerBatch(2, 4, 1, 1))).toMatchObject({
      reason: "SEQUENCE_GAP",
      fields: { expected: 3 },
    });
    expect(refusalOf(producerBatch(2, 3, 1, 0))).toMatchObject({
      reason: "PRODUCER_FENCED",
      fields: { producerEpoch: 1 },
    });
    expect(refusalOf(producerBatch(2, 1, 2, 1)).reason).toBe("DUPLICATE_OUT_OF_WINDOW");
    expect(replica.lastIndex).toBe(before);
    partition.submit(request(producerBatch(2, 3, 1, 1)), new Outcome());
    expect(replica.lastIndex).toBe(before + 1);
  });
});

describe("append path: acknowledgements", () => {
  type Mark = "written" | "flushed" | "commit" | "durable";
  const cases: readonly (readonly [Acks, Flush | undefined, Flush, Mark | "at once", Flush])[] = [
    ["all", undefined, "sync", "durable", "sync"],
    ["all", "async", "sync", "durable", "sync"],
    ["all", undefined, "async", "commit", "async"],
    ["all", "sync", "async", "durable", "sync"],
    ["leader", undefined, "sync", "flushed", "sync"],
    ["leader", undefined, "async", "written", "async"],
    ["leader", "sync", "async", "flushed", "sync"],
    ["none", undefined, "sync", "at once", "sync"],
    ["none", "sync", "async", "at once", "sync"],
  ];
  for (const [acks, flush, topicFlush, mark, effective] of cases) {
    test(`acks=${acks} flush=${flush ?? "-"} on a ${topicFlush} topic: waits for ${mark}`, async () => {
      const { partition, replica, state } = makePartition({ settings: { flush: topicFlush } });
      await settle();
      replica.advance();
      expect(state.flush).toBe(topicFlush);
      expect(replica.flush).toBe(topicFlush);
      const outcome = new Outcome();
      partition.submit(request(batchOfValues(["a"]), { acks, flush }), outcome);
      const index = replica.lastIndex;
      expect(replica.flushRequests).toBe(
        acks !== "none" && effective === "sync" && topicFlush === "async" ? 1 : 0,
      );
      if (mark !== "at once") {
        for (const other of ["written", "flushed", "commit", "durable"] as const) {
          if (other !== mark) replica.advance({ [other]: index });
        }
        expect(outcome.isSettled).toBe(false);
        replica.advance({ [mark]: index });
      }
      expect(outcome.receipt).toEqual({
        baseOffset: 0,
        leaderEpoch: 2,
        recordCount: 1,
        duplicate: false,
        acks,
        flush: effective,
      });
    });
  }

  test("acknowledgements come in index order, all classes mixed, each exactly once", () => {
    const { partition, replica } = makePartition();
    const order: number[] = [];
    for (let number = 0; number < 200; number += 1) {
      const acks = number % 3 === 0 ? "leader" : "all";
      partition.submit(request(producerBatch(2, number), { acks }), {
        onReceipt: ({ baseOffset }) => order.push(baseOffset),
        onFailure: (error) => {
          throw error;
        },
      });
    }
    for (let index = 1; index <= replica.lastIndex; index += 7) {
      replica.advance({ written: index, flushed: index, commit: index, durable: index });
    }
    replica.advance();
    expect(order).toHaveLength(200);
    const strong = order.filter((offset) => offset % 3 !== 0);
    expect(strong).toEqual([...strong].sort((a, b) => a - b));
    expect(partition.appends.parkedAcks).toBe(0);
    expect(partition.appends.overlay.length).toBe(0);
  });

  test("append: resolves with the receipt, rejects with the refusal", async () => {
    const { partition, replica } = makePartition();
    const first = partition.append(request(batchOfValues(["a", "b"])));
    const second = partition.append(request(batchOfValues(["c"])));
    replica.advance();
    expect(await first).toMatchObject({ baseOffset: 0, recordCount: 2 });
    expect(await second).toMatchObject({ baseOffset: 2, recordCount: 1 });
    await expect(
      partition.append(request(batchOfValues(["d"]), { layoutEpoch: 5 })),
    ).rejects.toMatchObject({ reason: "STALE_LAYOUT" });
    expect(logValues(replica)).toEqual(["a", "b", "c"]);
  });

  test("one way: refusals are counted and swallowed", () => {
    const refusals: string[] = [];
    const metrics = {
      ...noPartitionMetrics,
      produceRefused: (error: BrokerError) => refusals.push(error.reason),
    };
    const { partition, replica } = makePartition({ environment: { metrics } });
    partition.appendOneWay({ batch: batchOfValues(["a"]), flush: undefined, layoutEpoch: 1 });
    partition.appendOneWay({ batch: batchOfValues(["b"]), flush: undefined, layoutEpoch: 3 });
    expect(refusals).toEqual(["STALE_LAYOUT"]);
    expect(logValues(replica)).toEqual(["a"]);
  });
});

describe("append path: duplicates", () => {
  test("of an uncommitted batch: waits for its original at the class that the duplicate asks for", () => {
    const { partition, replica } = makePartition();
    const original = new Outcome();
    partition.submit(request(producerBatch(2, 0), { acks: "leader" }), original);
    const index = replica.lastIndex;
    partition.submit(request(producerBatch(2, 1)), new Outcome());
    const again = new Outcome();
    partition.submit(request(producerBatch(2, 0)), again);
    const weak = new Outcome();
    partition.submit(request(producerBatch(2, 0), { acks: "none" }), weak);
    expect(weak.receipt?.duplicate).toBe(true);
    replica.advance({ written: index, flushed: index });
    expect(original.receipt).toMatchObject({ baseOffset: 0, duplicate: false });
    expect(again.isSettled).toBe(false);
    replica.advance({ commit: index });
    expect(again.isSettled).toBe(false);
    replica.advance({ durable: index });
    expect(again.receipt).toMatchObject({ baseOffset: 0, leaderEpoch: 2, duplicate: true });
    expect(logValues(replica)).toHaveLength(2);
  });

  test("while too many acknowledgements wait: refused, unless it need not wait", () => {
    const { partition, replica } = makePartition();
    partition.submit(request(producerBatch(2, 0)), new Outcome());
    replica.advance();
    const [committed, waiting] = [producerBatch(2, 0), producerBatch(2, 1)];
    for (let count = 0; count < PARKED_ACKS_MAX; count += 1) {
      partition.submit(request(waiting), new Outcome());
    }
    expect(partition.appends.parkedAcks).toBe(PARKED_ACKS_MAX);
    const refusal = caught(() => partition.submit(request(waiting), new Outcome()));
    expect([refusal.reason, refusal.fields]).toEqual(["OVERLOADED", { limit: "parkedAcks" }]);
    expect(partition.appends.parkedAcks).toBe(PARKED_ACKS_MAX);
    for (const asked of [request(committed), request(waiting, { acks: "none" })]) {
      const again = new Outcome();
      partition.submit(asked, again);
      expect(again.receipt?.duplicate).toBe(true);
    }
    replica.advance();
    const later = new Outcome();
    partition.submit(request(waiting), later);
    expect(later.receipt).toMatchObject({ baseOffset: 1, duplicate: true });
  });

  test("of a committed batch: answered at once with offset and epoch of the original", () => {
    const { partition, replica } = makePartition();
    partition.submit(request(producerBatch(2, 0, 3)), new Outcome());
    partition.submit(request(producerBatch(2, 3, 2)), new Outcome());
    replica.advance();
    const again = new Outcome();
    partition.submit(request(producerBatch(2, 3, 2)), again);
    expect(again.receipt).toMatchObject({ baseOffset: 3, leaderEpoch: 2, duplicate: true });
    expect(replica.frames).toHaveLength(3);
  });

  test("across a leader change: same offset and epoch (state from the image's pairs)", () => {
    const old = makePartition();
    for (let sequence = 0; sequence < 20; sequence += 1) {
      old.partition.submit(request(producerBatch(2, sequence)), new Outcome());
    }
    old.replica.advance();
    const state = new PartitionState();
    state.restore([...old.state.pairs()]);
    const next = makePartition({ state, follower: true });
    next.replica.frames = [...old.replica.frames];
    next.replica.term = 2;
    Object.assign(next.replica, { applied: 21, commitIndex: 21, durable: 21, written: 21 });
    next.replica.takeOver();
    for (const sequence of [4, 19]) {
      const again = new Outcome();
      next.partition.submit(request(producerBatch(2, sequence)), again);
      expect(again.receipt).toMatchObject({
        baseOffset: sequence,
        leaderEpoch: 2,
        duplicate: true,
      });
    }
    const forgotten = caught(() =>
      next.partition.submit(request(producerBatch(2, 3)), new Outcome()),
    );
    expect(forgotten.reason).toBe("DUPLICATE_OUT_OF_WINDOW");
    next.partition.submit(request(producerBatch(2, 20)), new Outcome());
    expect(logValues(next.replica)).toHaveLength(21);
  });
});

describe("append path: leadership ends", () => {
  test("what is committed in its term is a success, the rest LEADERSHIP_LOST", () => {
    const { partition, replica } = makePartition({ settings: { flush: "sync" } });
    const outcomes = [0, 1, 2].map((sequence) => {
      const outcome = new Outcome();
      partition.submit(request(producerBatch(2, sequence)), outcome);
      return outcome;
    });
    const [first, second, third] = outcomes as [Outcome, Outcome, Outcome];
    replica.advanceQuietly({ written: 4, commit: 3, durable: 2 });
    replica.stepDown(4);
    expect(first.receipt).toBeDefined();
    expect(second.error?.reason).toBe("LEADERSHIP_LOST");
    expect(third.error?.reason).toBe("LEADERSHIP_LOST");
    expect(partition.appends.overlay.length).toBe(0);
  });

  test("another entry at the same index is no success", () => {
    const { partition, replica } = makePartition();
    const outcome = new Outcome();
    partition.submit(request(producerBatch(2, 0), { acks: "leader" }), outcome);
    const index = replica.lastIndex;
    // The log was replaced before the replica reported the end of its leadership.
    replica.isLeaderReady = false;
    replica.frames = replica.frames.slice(0, index - 1);
    replica.takeOver(9);
    expect(replica.lastIndex).toBe(index);
    replica.advance({ flushed: index });
    expect(outcome.error?.reason).toBe("LEADERSHIP_LOST");
  });

  test("after a truncation: a gapless producer goes on where the log ends, a weak one may leave a gap", () => {
    const { partition, replica } = makePartition();
    for (const id of [2, 5]) {
      for (let sequence = 0; sequence < 3; sequence += 1) {
        partition.submit(request(producerBatch(id, sequence), { acks: "leader" }), new Outcome());
      }
    }
    // Of each producer two batches are committed … those of the second one are all cut.
    replica.advance({ written: 7, flushed: 7, commit: 3, durable: 3 });
    replica.stepDown(4);
    replica.takeOver();
    const gap = caught(() => partition.submit(request(producerBatch(2, 3)), new Outcome()));
    expect(gap).toMatchObject({ reason: "SEQUENCE_GAP", fields: { expected: 2 } });
    partition.submit(request(producerBatch(2, 2)), new Outcome());
    partition.submit(request(producerBatch(5, 3), { acks: "leader" }), new Outcome());
    replica.advance();
    expect(logValues(replica)).toEqual(["2:0", "2:1", "2:2", "5:3"]);
  });

  test("close: parked acknowledgements are answered, later appends refused", async () => {
    const { partition, replica } = makePartition();
    const outcome = new Outcome();
    partition.submit(request(batchOfValues(["a"])), outcome);
    await partition.close();
    expect(outcome.error?.reason).toBe("LEADERSHIP_LOST");
    const error = caught(() => partition.submit(request(batchOfValues(["b"])), new Outcome()));
    expect(error.reason).toBe("SHUTTING_DOWN");
    expect(logValues(replica)).toEqual(["a"]);
  });
});

describe("partition: flush mode", () => {
  test("a change of the topic becomes an entry of the log, and takes effect when it is applied", async () => {
    const { partition, replica, state } = makePartition();
    partition.updateSettings({ ...partition.settings, flush: "async" });
    await settle();
    expect([state.flush, replica.flush]).toEqual(["sync", "sync"]);
    const outcome = new Outcome();
    partition.submit(request(batchOfValues(["a"])), outcome);
    replica.advance({ written: 3, flushed: 3, commit: 3 });
    expect([state.flush, replica.flush]).toEqual(["async", "async"]);
    // The send was made under the stronger promise: it keeps it, and somebody has to flush now.
    expect(outcome.isSettled).toBe(false);
    expect(replica.flushRequests).toBe(1);
    replica.advance({ durable: 3 });
    expect(outcome.receipt?.flush).toBe("sync");
  });

  test("a follower follows the log's flush mode", async () => {
    const leader = makePartition({ settings: { flush: "async" } });
    await settle();
    leader.replica.advance();
    const follower = makePartition({ follower: true });
    follower.replica.frames = [...leader.replica.frames];
    follower.replica.advance();
    expect(follower.replica.flush).toBe("async");
  });
});
