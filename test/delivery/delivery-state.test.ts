import { describe, expect, it } from "vitest";
import { type Random, seededRandom } from "../../src/base/random.ts";
import type { SubscriptionUpdate } from "../../src/delivery/delivery-commands.ts";
import { DeliveryState } from "../../src/delivery/delivery-state.ts";
import { ATTEMPTS_KEPT } from "../../src/delivery/failure-table.ts";
import type { SubscriptionState } from "../../src/delivery/subscription-state.ts";
import type { KeyedWrite } from "../../src/log/ports.ts";
import { attempt, Book, ID, sorted } from "./fixture.ts";

const OTHER = "6f1d2c8e-0000-4000-8000-00000000000b";

function attached(limits?: ConstructorParameters<typeof Book>[0]): {
  book: Book;
  state: SubscriptionState;
} {
  const book = new Book(limits);
  book.attach();
  const state = book.state.get(ID);
  if (state === undefined) throw new Error("not attached");
  return { book, state };
}

const park = (
  offset: number,
  key: string | undefined,
  scope: "key" | "partition" = "key",
): { offset: number; key: Buffer | undefined; scope: "key" | "partition"; sinceMs: number } => ({
  offset,
  key: key === undefined ? undefined : Buffer.from(key),
  scope,
  sinceMs: 9000,
});

const fail = (offset: number, notBeforeMs = 6000) => ({ offset, notBeforeMs, attempt: attempt() });

describe("attaching", () => {
  it("a subscription begins where it is attached, within what is kept and written", () => {
    for (const [asked, begins] of [
      [50, 100],
      [100, 100],
      [2000, 2000],
      [90_000, 10_000],
    ] as const) {
      const book = new Book();
      book.logStartOffset = 100;
      expect(book.attach(ID, asked)).toEqual({ outcome: "done" });
      const state = book.state.get(ID);
      expect([state?.startOffset, state?.cursor]).toEqual([begins, begins]);
      expect([state?.version, state?.createdIndex, state?.noted.size]).toEqual([1, 7, 0]);
    }
  });

  it("again: only a newer version is noted, the cursor stays", () => {
    const { book, state } = attached();
    book.deliver({ settle: [[0, 5]] });
    expect(book.attach(ID, 3000, 1)).toEqual({ outcome: "no-op" });
    expect(book.attach(ID, 3000, 4)).toEqual({ outcome: "done" });
    expect(book.attach(ID, 3000, 2)).toEqual({ outcome: "no-op" });
    expect([state.version, state.cursor]).toEqual([4, 5]);
    expect(sorted(book.state.pairs())).toEqual(sorted(book.stored));
  });

  it("detach: nothing of it is left", () => {
    const { book } = attached();
    book.attach(OTHER, 20);
    const before = sorted(book.stored);
    book.deliver({ settle: [[5000, 5005]], fail: [fail(1)], park: [park(2, "k")] });
    expect(book.apply({ type: "detach", id: ID })).toEqual({ outcome: "done" });
    expect(sorted(book.stored)).toEqual(before.filter(([key]) => key.includes(OTHER)));
    expect(book.apply({ type: "detach", id: ID })).toEqual({ outcome: "not-attached" });
    expect(book.state.lowestCursor()).toBe(20);
  });

  it("the limit of attached ones: one more is refused without an effect, until one is detached", () => {
    const book = new Book({ perPartition: 1 });
    book.attach();
    expect(book.attach(OTHER)).toEqual({ outcome: "limit" });
    expect([book.state.size, book.written]).toEqual([1, []]);
    expect(book.attach(ID, 0, 2)).toEqual({ outcome: "done" });
    book.apply({ type: "detach", id: ID });
    expect(book.attach(OTHER)).toEqual({ outcome: "done" });
  });

  it("lowest cursor: of all; none without a subscription", () => {
    const book = new Book();
    expect(book.state.lowestCursor()).toBeUndefined();
    book.attach(ID, 70);
    book.attach(OTHER, 30);
    expect(book.state.lowestCursor()).toBe(30);
    book.deliver({ settle: [[30, 90]] }, OTHER);
    expect(book.state.lowestCursor()).toBe(70);
  });
});

describe("deliver", () => {
  it("settling: only what was written counts, and once", () => {
    const { book, state } = attached();
    expect(
      book.deliver({
        settle: [
          [0, 3],
          [5, 7],
        ],
      }),
    ).toEqual({ outcome: "done" });
    expect(
      book.deliver({
        settle: [
          [5, 7],
          [0, 2],
        ],
      }),
    ).toEqual({ outcome: "no-op" });
    expect([state.cursor, state.settled.settledAbove]).toEqual([3, 2]);
    book.deliver({ settle: [[9_990, 20_000]] });
    expect([state.settled.isSettled(9_999), state.settled.isSettled(10_000)]).toEqual([
      true,
      false,
    ]);
    book.deliver({ settle: [[0, Number.MAX_SAFE_INTEGER]] });
    expect(state.cursor).toBe(10_000);
  });

  it("failures: count, keep the newest attempts, and end with their message", () => {
    const { book, state } = attached();
    for (let time = 1; time <= ATTEMPTS_KEPT + 4; time += 1) {
      const one = { offset: 8, notBeforeMs: time * 10, attempt: attempt(`e${time}`, time) };
      expect(book.deliver({ fail: [one] })).toEqual({ outcome: "done" });
    }
    const failure = state.failures.get(8);
    expect([failure?.failed, failure?.notBeforeMs, failure?.isDead]).toEqual([20, 200, false]);
    expect(failure?.attempts.map(({ error }) => error)).toEqual(
      Array.from({ length: ATTEMPTS_KEPT }, (_, number) => `e${number + 5}`),
    );
    book.deliver({ settle: [[8, 9]] });
    expect(state.failures.size).toBe(0);
    expect(book.deliver({ fail: [fail(8)] })).toEqual({ outcome: "no-op" });
    expect(book.deliver({ fail: [fail(10_000)] })).toEqual({ outcome: "no-op" });
  });

  it("dead: the last failure is counted with it, and no later one revives it", () => {
    const { book, state } = attached();
    book.deliver({ fail: [fail(4)] });
    book.deliver({
      dead: [
        { offset: 4, attempt: attempt("last") },
        { offset: 2, attempt: undefined },
      ],
    });
    expect(state.failures.get(4)).toMatchObject({ failed: 2, isDead: true });
    expect(state.failures.get(2)).toMatchObject({ failed: 0, isDead: true, attempts: [] });
    expect(state.failures.dead().map(({ offset }) => offset)).toEqual([2, 4]);
    expect(book.deliver({ fail: [fail(4)], dead: [{ offset: 4, attempt: attempt() }] })).toEqual({
      outcome: "no-op",
    });
    book.deliver({ settle: [[0, 5]] });
    expect([state.failures.deadCount, state.cursor]).toEqual([0, 5]);
  });

  it("parked: by key, by the lack of one, by partition", () => {
    const { book, state } = attached();
    book.deliver({ park: [park(5, "a"), park(3, "a"), park(7, undefined)] });
    const { parked } = state;
    expect([parked.hasKey(Buffer.from("a")), parked.hasKey(Buffer.from(""))]).toEqual([
      true,
      false,
    ]);
    expect([parked.hasKey(undefined), parked.isStopped]).toEqual([true, false]);
    expect(parked.offsetOfKey(Buffer.from("a"))).toBe(3);
    book.deliver({ settle: [[3, 4]] });
    expect(parked.offsetOfKey(Buffer.from("a"))).toBe(5);
    book.deliver({ settle: [[5, 8]] });
    expect([parked.hasKey(Buffer.from("a")), parked.hasKey(undefined), parked.size]).toEqual([
      false,
      false,
      0,
    ]);
    book.deliver({ park: [park(20, "b", "partition")] });
    expect([parked.isStopped, parked.stoppedAt, parked.hasKey(Buffer.from("b"))]).toEqual([
      true,
      20,
      false,
    ]);
    expect(book.deliver({ park: [park(20, "b")] })).toEqual({ outcome: "no-op" });
  });

  for (const [action, failed, isDead, isSettled] of [
    ["retry", undefined, undefined, false],
    ["dead", 1, true, false],
    ["settle", undefined, undefined, true],
  ] as const) {
    it(`release (${action}): of the key, and what becomes of the message`, () => {
      const { book, state } = attached();
      book.deliver({ fail: [fail(6)], park: [park(6, "a")] });
      expect(book.deliver({ release: [{ offset: 6, action }] })).toEqual({ outcome: "done" });
      expect(state.parked.size).toBe(0);
      expect(state.failures.get(6)?.failed).toBe(failed);
      expect(state.failures.get(6)?.isDead).toBe(isDead);
      expect(state.settled.isSettled(6)).toBe(isSettled);
      expect(book.deliver({ release: [{ offset: 6, action }] })).toEqual({ outcome: "no-op" });
    });
  }

  it("limits: refused and named, the rest takes effect", () => {
    const { book, state } = attached({ failures: 2, parkedKeys: 1 });
    const reply = book.deliver({
      settle: [[0, 1]],
      fail: [fail(1), fail(2), fail(3), fail(2)],
      dead: [{ offset: 4, attempt: undefined }],
      park: [park(1, "a"), park(2, "b"), park(3, "c", "partition"), park(4, "d", "partition")],
    });
    expect(reply).toEqual({
      outcome: "limit",
      notAttached: [],
      refused: [
        { id: ID, what: "fail", offset: 3 },
        { id: ID, what: "dead", offset: 4 },
        { id: ID, what: "park", offset: 2 },
        { id: ID, what: "park", offset: 4 },
      ],
    });
    expect([state.cursor, state.failures.isFull, state.failures.get(2)?.failed]).toEqual([
      1,
      true,
      2,
    ]);
    expect([state.parked.isFull, state.parked.isStopped]).toEqual([true, true]);
    // Room that the same update makes is used.
    expect(book.deliver({ settle: [[1, 2]], fail: [fail(3)] })).toEqual({ outcome: "done" });
  });

  it("a key that is too long: can not be parked, the partition can", () => {
    const { book, state } = attached();
    const key = "k".repeat(4097);
    expect(book.deliver({ park: [park(3, key)] }).refused).toEqual([
      { id: ID, what: "park", offset: 3 },
    ]);
    expect(book.deliver({ park: [park(3, key, "partition")] })).toEqual({ outcome: "done" });
    expect(state.parked.byOffset(3)).toEqual(park(3, undefined, "partition"));
  });

  it("consumers: noted by name, one record for each that comes or leaves", () => {
    const { book, state } = attached();
    const keys = (...hashes: string[]): string[] => hashes.map((hash) => `d/${ID}/c/${hash}`);
    expect(book.deliver({ joined: [0, 3, 2 ** 48 - 1] })).toEqual({ outcome: "done" });
    expect(book.written).toEqual(keys("000000000000", "000000000003", "ffffffffffff"));
    expect(book.deliver({ left: [4], joined: [3] })).toEqual({ outcome: "no-op" });
    expect(book.written).toEqual([]);
    expect(book.deliver({ left: [0, 3], joined: [3, 7] })).toEqual({ outcome: "done" });
    expect(book.written).toEqual(keys("000000000000", "000000000003", "000000000007"));
    expect([...state.noted.all()]).toEqual([3, 7, 2 ** 48 - 1]);
    expect(sorted(book.state.pairs())).toEqual(sorted(book.stored));
  });

  it("consumers: what finds no room is not noted, and said to be missing until the rest is all", () => {
    const { book, state } = attached({ notedConsumers: 3 });
    book.deliver({ joined: [1, 2] });
    expect(book.deliver({ joined: [2, 3, 4] })).toEqual({ outcome: "done" });
    expect([[...state.noted.all()], state.noted.isComplete]).toEqual([[1, 2, 3], false]);
    expect(book.deliver({ joined: [4] })).toEqual({ outcome: "no-op" });
    book.deliver({ left: [1] });
    expect(state.noted.isComplete).toBe(false);
    expect(sorted(book.state.pairs())).toEqual(sorted(book.stored));
    expect(book.deliver({ complete: true, left: [2], joined: [4, 5] })).toEqual({
      outcome: "done",
    });
    expect([[...state.noted.all()], state.noted.isComplete]).toEqual([[3, 4, 5], true]);
    expect(sorted(book.state.pairs())).toEqual(sorted(book.stored));
    expect(book.deliver({ complete: true })).toEqual({ outcome: "no-op" });
    book.deliver({ complete: true, joined: [6] });
    expect([state.noted.size, state.noted.isComplete]).toEqual([3, false]);
  });

  it("several subscriptions: one that is gone does not stop the others", () => {
    const { book, state } = attached();
    const updates = [
      { id: OTHER, settle: [[0, 9]] },
      { id: ID, settle: [[0, 2]] },
    ] as SubscriptionUpdate[];
    expect(book.apply({ type: "deliver", updates })).toEqual({
      outcome: "done",
      refused: [],
      notAttached: [OTHER],
    });
    expect(state.cursor).toBe(2);
  });

  it("writes: only what changed", () => {
    const { book } = attached();
    const keys = (...kinds: string[]): string[] => kinds.map((kind) => `d/${ID}/${kind}`);
    expect(book.written).toEqual(keys("m"));
    book.deliver({ settle: [[3, 4]] });
    expect(book.written).toEqual(keys("s/00000000000"));
    book.deliver({ fail: [fail(1)] });
    expect(book.written).toEqual(keys("f/00000000000001"));
    book.deliver({ park: [park(2, "k")] });
    expect(book.written).toEqual(keys("p/00000000000002"));
    book.deliver({ settle: [[0, 2]] });
    expect(book.written).toEqual(keys("m", "s/00000000000", "f/00000000000001"));
    book.deliver({ settle: [[3, 4]] });
    expect(book.written).toEqual([]);
  });
});

describe("seek", () => {
  for (const [title, offset, to] of [
    ["back", 2, 2],
    ["forward", 5000, 5000],
    ["behind the end", 99_999, 10_000],
    ["before what is kept", 0, 1],
  ] as const) {
    it(`${title}: the cursor stands there, failures and parked keys are forgotten`, () => {
      const { book, state } = attached();
      book.deliver({
        settle: [
          [0, 4],
          [4100, 4200],
        ],
        fail: [fail(5)],
        park: [park(6, "a")],
      });
      book.logStartOffset = 1;
      expect(book.apply({ type: "seek", id: ID, offset })).toEqual({
        outcome: "done",
        from: 4,
        to,
      });
      expect([state.cursor, state.settled.settledAbove]).toEqual([to, 0]);
      expect([state.failures.size, state.parked.size]).toEqual([0, 0]);
      expect(sorted(book.state.pairs())).toEqual(sorted(book.stored));
    });
  }

  it("what was decided before it has no effect behind it, but who is there counts", () => {
    const { book, state } = attached();
    book.apply({ type: "seek", id: ID, offset: 0 });
    const early = {
      settle: [[0, 4]],
      fail: [fail(5)],
      dead: [{ offset: 6, attempt: undefined }],
      park: [park(7, "a")],
      joined: [77],
    } as const;
    expect(book.deliver(early)).toEqual({ outcome: "done" });
    expect(book.deliver(early)).toEqual({ outcome: "no-op" });
    expect([state.cursor, state.failures.size, state.parked.size]).toEqual([0, 0, 0]);
    expect([...state.noted.all()]).toEqual([77]);
    book.deliver({ seeks: 1, park: [park(7, "a")] });
    book.deliver({ release: [{ offset: 7, action: "settle" }] });
    expect(state.parked.size).toBe(1);
    expect(sorted(book.state.pairs())).toEqual(sorted(book.stored));
    // Another replica that has an image of it decides alike.
    const copy = new DeliveryState();
    copy.restore(book.stored);
    expect(copy.get(ID)?.seeks).toBe(1);
    book.apply({ type: "seek", id: ID, offset: 0 });
    book.deliver({ seeks: 1, settle: [[0, 4]] });
    expect(state.cursor).toBe(0);
    book.deliver({ seeks: 2, settle: [[0, 4]] });
    expect(state.cursor).toBe(4);
  });

  it("remembers under which leader it was applied last, also where the cursor stays", () => {
    const { book, state } = attached();
    expect(state.seekEpoch).toBe(0);
    for (const term of [7, 7, 12]) {
      book.term = term;
      book.apply({ type: "seek", id: ID, offset: 0 });
      expect(state.seekEpoch).toBe(term);
      expect(sorted(book.state.pairs())).toEqual(sorted(book.stored));
      const copy = new DeliveryState();
      copy.restore(book.stored);
      expect(copy.get(ID)?.seekEpoch).toBe(term);
    }
    book.term = 13;
    book.deliver({ settle: [[0, 1]] });
    expect(state.seekEpoch).toBe(12);
  });

  it("of what is not attached: says so", () => {
    expect(new Book().apply({ type: "seek", id: ID, offset: 1 })).toEqual({
      outcome: "not-attached",
    });
  });
});

describe("log start", () => {
  it("passing a cursor: what was not settled is, and is counted", () => {
    const { book, state } = attached();
    book.attach(OTHER, 500);
    book.deliver({ settle: [[10, 20]], fail: [fail(3), fail(120)], park: [park(4, "a")] });
    book.moveLogStart(100);
    expect([state.cursor, state.droppedMessages]).toEqual([100, 90]);
    expect([state.failures.all().map(({ offset }) => offset), state.parked.size]).toEqual([
      [120],
      0,
    ]);
    expect(book.state.get(OTHER)?.droppedMessages).toBe(0);
    expect(sorted(book.state.pairs())).toEqual(sorted(book.stored));
    book.moveLogStart(100);
    expect([state.droppedMessages, book.written]).toEqual([90, []]);
  });
});

describe("stored subscriptions", () => {
  const restore = (pairs: readonly (readonly [string, Uint8Array])[]) => () =>
    new DeliveryState().restore(pairs);
  const { book } = attached();
  book.deliver({ fail: [fail(1)], park: [park(2, "k"), park(3, undefined, "partition")] });
  book.deliver({ joined: [5, 2 ** 47] });
  const pairs = [...book.state.pairs()];
  const changed = (kind: string, change: (value: Buffer) => Uint8Array) =>
    pairs.map(([key, value]): [string, Uint8Array] =>
      key.includes(`/${kind}`) ? [key, change(Buffer.from(value))] : [key, value],
    );
  const NONE = Buffer.alloc(0);
  const replaced = (from: string, to: string) => (value: Buffer) =>
    Buffer.from(value.toString("utf8").replace(from, to));
  const setByte = (at: number, to: number) => (value: Buffer) => {
    value[at] = to;
    return value;
  };
  for (const [title, broken] of [
    ["no record", pairs.filter(([key]) => !key.endsWith("/m"))],
    ["another version", changed("m", () => Buffer.from('{"v":2}'))],
    ["a record with a hole", changed("m", () => Buffer.from('{"v":1,"version":1}'))],
    ["a record that may be complete or not", changed("m", replaced("true", "1"))],
    ["a record of a seek by nobody", changed("m", replaced("{", '{"seekEpoch":-1,'))],
    ["an unknown kind of key", [...pairs, [`d/${ID}/x/1`, Buffer.alloc(0)] as const]],
    ["a short offset", [...pairs, [`d/${ID}/f/1`, Buffer.alloc(20)] as const]],
    ["a failure of another version", changed("f/", setByte(0, 2))],
    ["a failure without a cause", changed("f/", setByte(24, 0))],
    ["a failure that is cut off", changed("f/", (value) => value.subarray(0, 20))],
    ["a failure with more behind it", changed("f/", (value) => Buffer.concat([value, value]))],
    ["a parked key of another version", changed("p/", setByte(0, 2))],
    ["a parked key that has none", changed("p/", setByte(1, 0))],
    ["a noted consumer with a value", changed("c/", () => Buffer.alloc(1))],
    ["a noted consumer without a name", [...pairs, [`d/${ID}/c/`, Buffer.alloc(0)] as const]],
    ["a noted consumer twice as long", [...pairs, [`d/${ID}/c/${"0".repeat(24)}`, NONE] as const]],
    ["a noted consumer in other digits", [...pairs, [`d/${ID}/c/00000000000A`, NONE] as const]],
    ["a noted consumer below 0", [...pairs, [`d/${ID}/c/-00000000001`, NONE] as const]],
  ] as const) {
    it(`refused: ${title}`, () => expect(restore(broken)).toThrow(TypeError));
  }

  it("in any order: give the same state", () => {
    const copy = new DeliveryState();
    copy.restore([...pairs].reverse());
    expect(sorted(copy.pairs())).toEqual(sorted(pairs));
    const writes: KeyedWrite[] = [];
    copy.logStartMoved({ term: 1, baseOffset: 10, logStartOffset: 0 }, writes);
    expect(writes).toEqual([]);
  });

  it("of a release that knew of no leader of a seek: nothing is void", () => {
    const old = { v: 1, version: 1, createdIndex: 7, startOffset: 0, cursor: 4, dropped: 0 };
    const bytes = Buffer.from(JSON.stringify({ ...old, complete: true }));
    const copy = new DeliveryState();
    copy.restore([[`d/${ID}/m`, bytes]]);
    expect(copy.get(ID)?.seekEpoch).toBe(0);
    expect([...copy.pairs()]).toEqual([[`d/${ID}/m`, bytes]]);
  });
});

/** What a subscription should know, worked out the plain way. */
class Plain {
  settled = new Set<number>();
  failed = new Map<number, { failed: number; isDead: boolean }>();
  parked = new Set<number>();
  noted = new Set<number>();

  settle(from: number, to: number, endOffset: number): void {
    for (let offset = from; offset < Math.min(to, endOffset); offset += 1) {
      this.settled.add(offset);
      this.failed.delete(offset);
      this.parked.delete(offset);
    }
  }

  fail(offset: number, isDead: boolean, endOffset: number): void {
    const known = this.failed.get(offset) ?? { failed: 0, isDead: false };
    if (this.settled.has(offset) || offset >= endOffset || known.isDead) return;
    this.failed.set(offset, { failed: known.failed + 1, isDead });
  }
}

function randomUpdate(random: Random, plain: Plain, end: number): Omit<SubscriptionUpdate, "id"> {
  const offset = (): number => random.integer(0, end + 20);
  const settle = Array.from({ length: random.integer(1, 6) }, () => {
    const from = offset();
    return [from, from + random.integer(1, random.next() < 0.1 ? 900 : 30)] as const;
  });
  const failures = Array.from({ length: random.integer(0, 5) }, () => fail(offset()));
  const dead = Array.from({ length: random.integer(0, 2) }, () => ({
    offset: offset(),
    attempt: attempt("dead"),
  }));
  const parks = Array.from({ length: random.integer(0, 3) }, () =>
    park(offset(), random.next() < 0.2 ? undefined : `k${random.integer(0, 9)}`),
  );
  const release = [...plain.parked]
    .slice(0, random.integer(0, 2))
    .map((parked) => ({ offset: parked, action: "retry" as const }));
  if (random.next() < 0.6) for (const [from, to] of settle) plain.settle(from, to, end);
  else settle.length = 0;
  for (const one of release) {
    if (plain.parked.delete(one.offset)) plain.failed.delete(one.offset);
  }
  for (const one of failures) plain.fail(one.offset, false, end);
  for (const one of dead) plain.fail(one.offset, true, end);
  for (const one of parks) {
    if (one.offset < end && !plain.settled.has(one.offset)) plain.parked.add(one.offset);
  }
  const hashes = (): number[] => [...new Set([random.integer(0, 9), random.integer(0, 9)])].sort();
  const [left, joined] = [hashes(), hashes()];
  for (const hash of left) plain.noted.delete(hash);
  for (const hash of joined) plain.noted.add(hash);
  return { settle, release, fail: failures, dead, park: parks, left, joined };
}

describe("random commands", () => {
  it("agree with a plain book, and with what is stored", () => {
    const seed = Number(process.env["SEED"] ?? 20_261);
    const random = seededRandom(seed);
    for (let round = 0; round < 12; round += 1) {
      const book = new Book({}, 100);
      const start = random.integer(0, 50);
      book.attach(ID, start);
      book.attach(OTHER, 0);
      const plain = new Plain();
      plain.settle(0, start, book.endOffset);
      for (let step = 0; step < 80; step += 1) {
        const title = `seed ${seed}, round ${round}, step ${step}`;
        book.endOffset += random.integer(0, 60);
        const dice = random.integer(0, 100);
        if (dice < 4) {
          const { to } = book.apply({ type: "seek", id: ID, offset: random.integer(0, 900) });
          plain.settled = new Set(Array.from({ length: to ?? 0 }, (_, offset) => offset));
          plain.failed.clear();
          plain.parked.clear();
        } else if (dice < 8) {
          const logStart = random.integer(book.logStartOffset, book.endOffset);
          plain.settle(0, logStart, book.endOffset);
          book.moveLogStart(logStart);
        } else {
          const seeks = book.state.get(ID)?.seeks ?? 0;
          const update = randomUpdate(random, plain, book.endOffset);
          book.deliver({ ...update, ...(seeks > 0 && { seeks }) });
        }
        const state = book.state.get(ID);
        if (state === undefined) throw new Error("detached");
        expect(sorted(book.state.pairs()), title).toEqual(sorted(book.stored));
        for (let offset = 0; offset < book.endOffset + 5; offset += 1) {
          if (state.settled.isSettled(offset) !== plain.settled.has(offset)) {
            throw new Error(`${title}: offset ${offset}`);
          }
        }
        const failed = state.failures
          .all()
          .map(({ offset, failed, isDead }) => [offset, failed, isDead]);
        const wanted = [...plain.failed].map(([offset, { failed, isDead }]) => [
          offset,
          failed,
          isDead,
        ]);
        expect(failed, title).toEqual(wanted.sort(([a], [b]) => Number(a) - Number(b)));
        expect(
          state.parked.all().map(({ offset }) => offset),
          title,
        ).toEqual([...plain.parked].sort((a, b) => a - b));
        expect([...state.noted.all()], title).toEqual([...plain.noted].sort((a, b) => a - b));
        if (step % 10 !== 0) continue;
        const copy = new DeliveryState();
        copy.restore(book.stored);
        expect(sorted(copy.pairs()), title).toEqual(sorted(book.stored));
        const own = copy.get(ID);
        expect(own?.settled.settledAbove, title).toBe(state.settled.settledAbove);
        expect(own?.failures.all(), title).toEqual(state.failures.all());
        expect(own?.parked.all(), title).toEqual(state.parked.all());
        expect(own?.droppedMessages, title).toBe(state.droppedMessages);
        expect([...(own?.noted.all() ?? [])], title).toEqual([...state.noted.all()]);
      }
    }
  });
});
