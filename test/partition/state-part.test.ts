import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import type { SubscriptionUpdate } from "../../src/delivery/delivery-commands.ts";
import { encodeDeliveryCommand } from "../../src/delivery/delivery-encoder.ts";
import { DeliveryState } from "../../src/delivery/delivery-state.ts";
import type { KeyedWrite } from "../../src/log/ports.ts";
import { FrameError } from "../../src/model/entry-frame.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { PartitionState } from "../../src/partition/partition-state.ts";
import type { PartContext, PartReply, StatePart } from "../../src/partition/state-part.ts";
import { makePartition, Outcome, producerBatch, request, SETTINGS, settle } from "./fixture.ts";

/** Remembers the highest of the numbers that it is given. */
class HighestPart implements StatePart {
  readonly commandTypes = new Set(["raise"]);
  readonly keyPrefix = "h/";
  highest = 0;
  readonly seen: (PartContext | string)[] = [];

  check(command: Readonly<Record<string, unknown>>): void {
    if (typeof command["to"] !== "number") {
      throw new FrameError({ problem: "unknown-section", position: 0, detail: "to" });
    }
  }
  apply(
    command: Readonly<Record<string, unknown>>,
    context: PartContext,
    writes: KeyedWrite[],
  ): PartReply {
    this.check(command);
    this.seen.push(context);
    const to = Number(command["to"]);
    if (to <= this.highest) return { outcome: "too-low" };
    this.highest = to;
    writes.push({ type: "put", key: "h/1", value: Buffer.from([to]) });
    return { outcome: "done" };
  }
  logStartMoved({ logStartOffset }: PartContext): void {
    this.seen.push(`log start ${logStartOffset}`);
  }
  restore(pairs: Iterable<readonly [string, Uint8Array]>): void {
    this.highest = 0;
    for (const [, value] of pairs) this.highest = value[0] ?? 0;
  }
  *pairs(): Generator<readonly [string, Uint8Array]> {
    if (this.highest > 0) yield ["h/1", Buffer.from([this.highest])];
  }
  lowestCursor(): number | undefined {
    return this.highest === 0 ? undefined : this.highest;
  }
}

function setUp(): { part: HighestPart } & ReturnType<typeof makePartition> {
  const part = new HighestPart();
  return { part, ...makePartition({ state: new PartitionState({ parts: [part] }) }) };
}

describe("parts of a partition's state", () => {
  test("a command of a part: is applied by it, its reply goes to the proposer", async () => {
    const { part, partition, replica } = setUp();
    partition.submit(request(producerBatch(2, 0, 3)), new Outcome());
    const reply = partition.proposeCommand({ type: "raise", to: 5 });
    const later = partition.proposeCommand({ type: "raise", to: 4 });
    replica.advance();
    expect(await reply).toEqual({ outcome: "done" });
    expect(await later).toEqual({ outcome: "too-low" });
    expect(part.seen[0]).toMatchObject({ baseOffset: 3, logStartOffset: 0, recordCount: 0 });
    expect(replica.stored.get("h/1")).toEqual(Buffer.from([5]));
    expect([...partition.state.pairs()].map(([key]) => key)).toContain("h/1");
  });

  test("log start: the part is told when it moved, and knows it at its next command", async () => {
    const { part, partition, replica } = setUp();
    partition.submit(request(producerBatch(2, 0, 3)), new Outcome());
    replica.advance();
    void partition.advanceLogStart({ index: 2, offset: 3, acked: false });
    void partition.advanceLogStart({ index: 1, offset: 1, acked: false });
    void partition.proposeCommand({ type: "raise", to: 5 });
    replica.advance();
    await settle();
    expect(part.seen).toEqual(["log start 3", expect.objectContaining({ logStartOffset: 3 })]);
  });

  test("what nobody knows: is not appended, and stops a replica that meets it", async () => {
    const { partition, replica } = setUp();
    const { lastIndex } = replica;
    for (const command of [{ type: "lower", to: 5 }, { type: "raise" }, {}]) {
      await expect(partition.proposeCommand(command)).rejects.toThrow(FrameError);
    }
    expect(replica.lastIndex).toBe(lastIndex);
    const without = makePartition();
    await expect(without.partition.proposeCommand({ type: "raise", to: 5 })).rejects.toThrow(
      FrameError,
    );
    void partition.proposeCommand({ type: "raise", to: 5 });
    const frame = replica.frames.at(-1);
    if (frame === undefined) throw new Error("nothing was appended");
    const { index, term, baseOffset, recordCount, appendTimeMs } = frame;
    const context = { index, term, baseOffset, recordCount, appendTimeMs };
    expect(() => new PartitionState().apply(frame, context)).toThrow(FrameError);
    replica.advance();
  });

  test("keys: with the prefix go to the part, others are still refused", () => {
    const part = new HighestPart();
    const state = new PartitionState({ parts: [part] });
    state.restore([["h/1", Buffer.from([9])]]);
    expect([part.highest, state.lowestCursor()]).toEqual([9, 9]);
    state.restore([]);
    expect([part.highest, state.lowestCursor()]).toEqual([0, undefined]);
    expect(() => state.restore([["d/1", Buffer.from([9])]])).toThrow(/unknown key/);
  });

  test("when messages are refused for lack of room: commands of parts still pass", async () => {
    const refusal = new BrokerError("QUOTA_EXCEEDED", "no room");
    const part = new HighestPart();
    const { partition, replica } = makePartition({
      state: new PartitionState({ parts: [part] }),
      environment: { produceRefusal: () => refusal },
    });
    expect(() => partition.submit(request(producerBatch(2, 0)), new Outcome())).toThrow(refusal);
    const reply = partition.proposeCommand({ type: "raise", to: 5 });
    // A full disk refuses entries with records only (test/replica).
    expect(replica.frames.at(-1)?.recordCount).toBe(0);
    replica.advance();
    expect(await reply).toEqual({ outcome: "done" });
  });

  test("leadership: who does not lead proposes nothing, and a lost one is an unknown outcome", async () => {
    const { partition, replica } = setUp();
    const lost = partition.proposeCommand({ type: "raise", to: 5 });
    replica.stepDown();
    await expect(lost).rejects.toMatchObject({ reason: "LEADERSHIP_LOST" });
    await expect(partition.proposeCommand({ type: "raise", to: 5 })).rejects.toMatchObject({
      reason: "NOT_LEADER",
    });
  });
});

describe("subscriptions in a partition", () => {
  const ids = ["a", "b", "c"].map((last) => `6f1d2c8e-0000-4000-8000-00000000000${last}`);

  function stateOf(): { state: PartitionState; deliveries: DeliveryState } {
    const deliveries = new DeliveryState({ perPartition: 2, failures: 20, parkedKeys: 5 });
    return { deliveries, state: new PartitionState({ parts: [deliveries] }) };
  }

  const sorted = (pairs: Iterable<readonly [string, Uint8Array]>): [string, string][] =>
    [...pairs]
      .map(([key, value]): [string, string] => [key, Buffer.from(value).toString("hex")])
      .sort(([a], [b]) => (a < b ? -1 : 1));

  test("image at every index: a replica restored from it goes on exactly alike", async () => {
    const seed = Number(process.env["SEED"] ?? 815);
    const random = seededRandom(seed);
    const { state } = stateOf();
    const { partition, replica } = makePartition({ state, settings: SETTINGS });
    const images = new Map<number, [string, Uint8Array][]>();
    const pick = (): string => ids[random.integer(0, 3)] ?? "";
    const offset = (): number => random.integer(0, replica.nextOffset + 10);
    for (let step = 0; step < 250; step += 1) {
      const dice = random.integer(0, 100);
      if (dice < 30) {
        const count = random.integer(1, 90);
        partition.submit(request(producerBatch(2 + 2 * step, 0, count)), new Outcome());
      } else if (dice < 34) {
        const index = random.integer(1, replica.lastIndex + 2);
        const acked = random.integer(0, 2) === 1;
        void partition.advanceLogStart({ index, offset: offset(), acked });
      } else {
        const id = pick();
        const command =
          dice < 40
            ? ({
                type: "attach",
                id,
                version: step,
                startOffset: offset(),
                createdIndex: 1,
              } as const)
            : dice < 42
              ? ({ type: "detach", id } as const)
              : dice < 44
                ? ({ type: "seek", id, offset: offset() } as const)
                : ({ type: "deliver", updates: [update(id), update(pick())] } as const);
        void partition.proposeCommand(encodeDeliveryCommand(command));
      }
      replica.advance();
      await settle();
      expect(sorted(state.pairs()), `seed ${seed}, step ${step}`).toEqual(sorted(replica.stored));
      const image = [...state.pairs()].map(([key, value]): [string, Uint8Array] => [
        key,
        Uint8Array.from(value),
      ]);
      images.set(replica.applied, image);
    }

    function update(id: string): SubscriptionUpdate {
      const at = offset();
      const attempt = { timeMs: 5, cause: "nack", error: "e" } as const;
      return {
        id,
        settle: [
          [at, at + random.integer(0, 50)],
          [offset(), offset()],
        ],
        fail: [{ offset: offset(), notBeforeMs: 7, attempt }],
        dead: random.next() < 0.2 ? [{ offset: offset(), attempt }] : [],
        park: [{ offset: offset(), key: Buffer.from("k"), scope: "key", sinceMs: 6 }],
        release: random.next() < 0.3 ? [{ offset: offset(), action: "dead" }] : [],
        joined: [random.integer(0, 9)],
        left: [random.integer(0, 9)],
      };
    }

    const wanted = sorted(state.pairs());
    for (const [index, image] of images) {
      if (index % 5 !== 0) continue;
      const copy = stateOf();
      copy.state.restore(image);
      for (const frame of replica.frames.slice(index)) {
        const { term, baseOffset, recordCount, appendTimeMs } = frame;
        copy.state.apply(frame, {
          index: frame.index,
          term,
          baseOffset,
          recordCount,
          appendTimeMs,
        });
      }
      expect(sorted(copy.state.pairs()), `seed ${seed}, from ${index}`).toEqual(wanted);
    }
  });
});
