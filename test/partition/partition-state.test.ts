import { describe, expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import {
  encodeFrame,
  type Frame,
  FrameError,
  type FrameSection,
  SECTION,
} from "../../src/model/entry-frame.ts";
import { encodeMessageIds } from "../../src/partition/message-id-table.ts";
import {
  decodeCommand,
  encodeCommand,
  type PartitionCommand,
} from "../../src/partition/partition-commands.ts";
import { PartitionState } from "../../src/partition/partition-state.ts";
import { applyWrites } from "./fake-replica.ts";
import { batchOfValues, producerBatch } from "./fixture.ts";

class Log {
  readonly frames: Frame[] = [];
  nextOffset = 0;

  append(sections: readonly FrameSection[], recordCount: number): Frame {
    const frame = encodeFrame(
      {
        kind: "data",
        index: this.frames.length + 1,
        term: 1 + Math.floor(this.frames.length / 50),
        baseOffset: this.nextOffset,
        recordCount,
        layoutEpoch: 1,
        appendTimeMs: this.frames.length * 10,
      },
      sections,
    );
    this.nextOffset += recordCount;
    this.frames.push(frame);
    return frame;
  }

  command(command: PartitionCommand): Frame {
    return this.append(
      [{ type: SECTION.COMMAND, ignorable: false, bytes: encodeCommand(command) }],
      0,
    );
  }

  batch(bytes: Buffer, recordCount: number, ids?: string[]): Frame {
    const sections: FrameSection[] = [{ type: SECTION.BATCH, ignorable: false, bytes }];
    if (ids !== undefined) {
      const bytesOfIds = encodeMessageIds(ids);
      sections.unshift({ type: SECTION.MESSAGE_IDS, ignorable: false, bytes: bytesOfIds });
    }
    return this.append(sections, recordCount);
  }
}

function apply(state: PartitionState, frame: Frame): ReturnType<PartitionState["apply"]> {
  const { index, term, baseOffset, recordCount, appendTimeMs } = frame;
  return state.apply(frame, { index, term, baseOffset, recordCount, appendTimeMs });
}

function sorted(pairs: Iterable<readonly [string, Uint8Array]>): [string, string][] {
  return [...pairs]
    .map(([key, value]): [string, string] => [key, Buffer.from(value).toString("hex")])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function randomLog(seed: number, entries: number): Log {
  const random = seededRandom(seed);
  const log = new Log();
  const next = new Map<number, { epoch: number; sequence: number }>();
  for (let i = 0; i < entries; i += 1) {
    const dice = random.integer(0, 100);
    if (dice < 60) {
      const producerId = random.integer(2, 10);
      const known = next.get(producerId) ?? { epoch: 0, sequence: 0 };
      const at = random.integer(0, 20) === 0 ? { epoch: known.epoch + 1, sequence: 0 } : known;
      const count = random.integer(1, 4);
      log.batch(producerBatch(producerId, at.sequence, count, at.epoch), count);
      next.set(producerId, { epoch: at.epoch, sequence: at.sequence + count });
    } else if (dice < 80) {
      log.batch(batchOfValues(["x", "y"]), 2, [`m${random.integer(0, 1000)}`, ""]);
    } else if (dice < 85) log.batch(batchOfValues(["plain"]), 1);
    else if (dice < 90) {
      const ids = [random.integer(2, 10), random.integer(2, 10)];
      log.command({ type: "ExpireProducers", ids, idleBeforeMs: (i - 20) * 10 });
    } else if (dice < 94) {
      log.command({ type: "AdvanceLogStart", index: random.integer(1, i + 2), offset: i });
    } else if (dice < 97)
      log.command({ type: "SetFlush", flush: dice % 2 === 0 ? "sync" : "async" });
    else log.command({ type: "FeatureLevel", level: random.integer(1, 4) });
  }
  return log;
}

describe("partition state", () => {
  test("snapshot at every index: a replica restored from it goes on exactly alike", () => {
    for (const seed of [1, 2, 3]) {
      const log = randomLog(seed, 160);
      const options = { producersMax: 5, messageIdsMax: 12 };
      const state = new PartitionState(options);
      const stored = new Map<string, Uint8Array>();
      const images: [string, Uint8Array][][] = [[]];
      const finals: [string, string][][] = [[]];
      for (const frame of log.frames) {
        applyWrites(stored, apply(state, frame).writes);
        expect(sorted(state.pairs()), `seed ${seed} index ${frame.index}`).toEqual(sorted(stored));
        images.push([...state.pairs()].map(([key, value]) => [key, Uint8Array.from(value)]));
        finals.push(sorted(state.pairs()));
      }
      for (const [index, image] of images.entries()) {
        const copy = new PartitionState(options);
        copy.restore(image);
        expect(sorted(copy.pairs()), `seed ${seed} image ${index}`).toEqual(finals[index]);
        for (const frame of log.frames.slice(index)) apply(copy, frame);
        expect(sorted(copy.pairs()), `seed ${seed} from ${index}`).toEqual(finals.at(-1));
        expect(copy.logStartIndex).toBe(state.logStartIndex);
        expect(copy.flush).toBe(state.flush);
        expect(copy.featureLevel).toBe(state.featureLevel);
      }
    }
  });

  test("log start: only grows and never passes what is applied", () => {
    const log = new Log();
    const state = new PartitionState();
    for (let i = 0; i < 5; i += 1) apply(state, log.batch(batchOfValues(["v"]), 1));
    const advance = (index: number, offset: number): unknown =>
      apply(state, log.command({ type: "AdvanceLogStart", index, offset })).reply;
    expect(state.logStartIndex).toBe(1);
    expect(advance(3, 2)).toEqual({ outcome: "done" });
    expect(advance(2, 1)).toEqual({ outcome: "no-op" });
    expect(advance(100, 50)).toEqual({ outcome: "no-op" });
    expect([state.logStartIndex, state.logStartOffset]).toEqual([3, 2]);
  });

  test("an entry with a command and a batch: both take effect", () => {
    const log = new Log();
    const state = new PartitionState();
    const frame = log.append(
      [
        {
          type: SECTION.COMMAND,
          ignorable: false,
          bytes: encodeCommand({ type: "SetFlush", flush: "async" }),
        },
        { type: SECTION.BATCH, ignorable: false, bytes: producerBatch(2, 0) },
      ],
      1,
    );
    expect(apply(state, frame).reply).toEqual({ outcome: "done" });
    expect(state.flush).toBe("async");
    expect(state.producers.get(2)?.length).toBe(1);
  });

  test("unknown keys and versions are refused when restoring", () => {
    const state = new PartitionState();
    expect(() => state.restore([["zz", Buffer.alloc(1)]])).toThrow(/unknown key/);
    expect(() => state.restore([["meta", Buffer.from('{"v":9}')]])).toThrow(/unknown version/);
  });
});

describe("partition commands", () => {
  const commands: PartitionCommand[] = [
    { type: "AdvanceLogStart", index: 12, offset: 900 },
    { type: "AdvanceLogStart", index: 12, offset: 900, acked: true },
    { type: "ExpireProducers", ids: [2, 5], idleBeforeMs: 77 },
    { type: "SetFlush", flush: "async" },
    { type: "FeatureLevel", level: 3 },
  ];
  for (const command of commands) {
    test(`${command.type}: is read as it was written`, () => {
      expect(decodeCommand(encodeCommand(command))).toEqual(command);
    });
  }

  for (const text of [
    '{"v":2,"type":"SetFlush","flush":"sync"}',
    '{"v":1,"type":"Other"}',
    '{"v":1,"type":"SetFlush","flush":"maybe"}',
    '{"v":1,"type":"AdvanceLogStart","index":1.5,"offset":0}',
    '{"v":1,"type":"AdvanceLogStart","index":1,"offset":0,"acked":1}',
    '{"v":1,"type":"ExpireProducers","ids":"all","idleBeforeMs":1}',
    "null",
    "{",
  ]) {
    test(`what is not known stops the replica (${text})`, () => {
      expect(() => decodeCommand(Buffer.from(text))).toThrow(FrameError);
    });
  }
});
