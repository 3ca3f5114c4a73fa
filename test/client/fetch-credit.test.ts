// The credit of a reader's streams against brokers in memory that send whatever they may, fail over and come back.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CREDIT_BYTES_MIN, FetchCredit } from "../../src/client/fetch-credit.ts";

const KIB = 1024;
const BATCH_BYTES_MAX = 96 * KIB;

/** A stream as its broker sees it. */
class FakeSender {
  grantedBytes = 0;
}

/** A reader's queue in front of the credit. */
class Model {
  readonly credit: FetchCredit<FakeSender>;
  /** One stream per broker at most. */
  readonly streams = new Map<number, FakeSender>();
  readonly queue: { readonly stream: FakeSender; readonly bytes: number }[] = [];
  queuedBytes = 0;
  grants = 0;

  constructor(limitBytes: number) {
    this.credit = new FetchCredit(limitBytes);
  }

  get usedBytes(): number {
    let bytes = this.queuedBytes;
    for (const { grantedBytes } of this.streams.values()) bytes += Math.max(0, grantedBytes);
    return bytes;
  }

  begin(broker: number, streams: number): FakeSender {
    this.end(broker);
    const stream = new FakeSender();
    this.streams.set(broker, stream);
    this.credit.begin(stream, streams);
    stream.grantedBytes += this.credit.take(stream);
    this.grant();
    return stream;
  }

  end(broker: number): void {
    const stream = this.streams.get(broker);
    if (stream === undefined) return;
    this.streams.delete(broker);
    this.credit.end(stream);
    this.grant();
  }

  /** @returns whether the broker could */
  send(broker: number, bytes: number): boolean {
    const stream = this.streams.get(broker);
    if (stream === undefined || stream.grantedBytes <= 0) return false;
    stream.grantedBytes -= bytes;
    this.credit.arrived(stream, bytes);
    this.queue.push({ stream, bytes });
    this.queuedBytes += bytes;
    return true;
  }

  consume(): void {
    const next = this.queue.shift();
    if (next === undefined) return;
    this.queuedBytes -= next.bytes;
    this.credit.consumed(next.stream, next.bytes);
    this.grant();
  }

  consumeAll(): void {
    while (this.queue.length > 0) this.consume();
  }

  grant(): void {
    for (let due = this.credit.due(); due !== undefined; due = this.credit.due()) {
      const bytes = this.credit.take(due);
      expect(Number.isSafeInteger(bytes) && bytes > 0).toBe(true);
      due.grantedBytes += bytes;
      this.grants += 1;
    }
  }
}

const BROKERS = 4;
const broker = fc.nat(BROKERS - 1);
const bytes = fc.integer({ min: 4 * KIB, max: BATCH_BYTES_MAX });
const action = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("begin" as const), broker, streams: fc.nat(5) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), broker }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("send" as const), broker, bytes }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("flood" as const), broker, bytes }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("consume" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("consume-all" as const) }) },
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;
const limit = fc.constantFrom(1, 64 * KIB, 200 * KIB, 1024 * KIB, 8192 * KIB);

function act(model: Model, step: Action): void {
  if (step.kind === "begin") model.begin(step.broker, step.streams);
  else if (step.kind === "end") model.end(step.broker);
  else if (step.kind === "send") model.send(step.broker, step.bytes);
  else if (step.kind === "flood") while (model.send(step.broker, step.bytes));
  else if (step.kind === "consume") model.consume();
  else model.consumeAll();
}

describe("credit of a reader", () => {
  it("never stands still with an empty queue, and never grows beyond its limit (random actions)", () => {
    fc.assert(
      fc.property(limit, fc.array(action, { maxLength: 150 }), (limitBytes, actions) => {
        const model = new Model(limitBytes);
        const mostBytes =
          Math.max(limitBytes, CREDIT_BYTES_MIN) + BROKERS * (CREDIT_BYTES_MIN + BATCH_BYTES_MAX);
        for (const step of actions) {
          act(model, step);
          expect(model.usedBytes).toBeLessThanOrEqual(mostBytes);
          if (model.queue.length > 0) continue;
          for (const { grantedBytes } of model.streams.values()) {
            expect(grantedBytes).toBeGreaterThan(0);
          }
        }
      }),
      { numRuns: 400 },
    );
  });

  it("serves every stream, whatever happened before (all brokers send what they may, the queue stays full)", () => {
    fc.assert(
      fc.property(
        limit,
        fc.array(action, { maxLength: 80 }),
        bytes,
        (limitBytes, actions, size) => {
          const model = new Model(limitBytes);
          for (const step of actions) act(model, step);
          const starved = new Set(model.streams.values());
          // What is queued now, and what the others may bring before.
          let leftBytes = 2 * (model.usedBytes + limitBytes + 1024 * KIB);
          for (; leftBytes > 0; leftBytes -= size) {
            for (const [id, stream] of model.streams) {
              while (model.send(id, size)) starved.delete(stream);
            }
            model.consume();
          }
          expect(starved.size).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });

  it("gives each stream most of its share once everything is consumed (none has more than that)", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 100 }), (actions) => {
        const model = new Model(8192 * KIB);
        for (let id = 0; id < BROKERS; id += 1) model.begin(id, BROKERS);
        for (const step of actions) {
          if (step.kind === "begin") model.begin(step.broker, BROKERS);
          else act(model, step);
        }
        for (let id = 0; id < BROKERS; id += 1) {
          if (!model.streams.has(id)) model.begin(id, BROKERS);
        }
        model.consumeAll();
        for (const { grantedBytes } of model.streams.values()) {
          expect(grantedBytes).toBeGreaterThanOrEqual(1536 * KIB - 1);
          expect(grantedBytes).toBeLessThanOrEqual(2048 * KIB);
        }
      }),
    );
  });

  it("pays what others brought to the stream that began with less (the queue was full)", () => {
    const model = new Model(1024 * KIB);
    model.begin(1, 2);
    model.begin(2, 2);
    while (model.send(1, 16 * KIB));
    while (model.send(2, 16 * KIB));
    const late = model.begin(2, 2);
    expect(late.grantedBytes).toBe(0);
    const full = model.streams.get(1);
    model.consumeAll();
    for (const stream of [late, full]) {
      expect(stream?.grantedBytes).toBeGreaterThan(384 * KIB);
      expect(stream?.grantedBytes).toBeLessThanOrEqual(512 * KIB);
    }
  });

  it("shares out evenly what is consumed (two streams that began while the queue was full)", () => {
    const model = new Model(1024 * KIB);
    model.begin(1, 1);
    while (model.send(1, 16 * KIB));
    model.end(1);
    const late = [model.begin(2, 2), model.begin(3, 2)];
    for (let i = 0; i < 32; i += 1) model.consume();
    for (const { grantedBytes } of late) expect(grantedBytes).toBeGreaterThan(192 * KIB);
  });

  it("does not grow with streams that end one after the other (nothing is consumed)", () => {
    const model = new Model(1024 * KIB);
    for (let i = 0; i < 100; i += 1) {
      model.begin(i % BROKERS, BROKERS);
      while (model.send(i % BROKERS, 16 * KIB));
    }
    expect(model.usedBytes).toBeLessThanOrEqual(1024 * KIB);
  });

  it("grants in larger pieces: a quarter of the share (one stream that is read as it comes)", () => {
    const model = new Model(1024 * KIB);
    model.begin(1, 1);
    for (let i = 0; i < 64; i += 1) {
      model.send(1, 16 * KIB);
      model.consume();
    }
    expect(model.grants).toBe(4);
  });

  it("takes a batch larger than the credit as what it is (the broker owes the rest)", () => {
    const model = new Model(64 * KIB);
    const stream = model.begin(1, 1);
    model.send(1, 1024 * KIB);
    expect(stream.grantedBytes).toBe(-960 * KIB);
    model.consume();
    expect(stream.grantedBytes).toBe(64 * KIB);
  });

  it("leaves a floor beside a stream that has everything and sends nothing (a leader moved away)", () => {
    const model = new Model(1024 * KIB);
    const idle = model.begin(1, 1);
    const busy = model.begin(2, 2);
    expect(idle.grantedBytes).toBe(1024 * KIB);
    expect(busy.grantedBytes).toBe(CREDIT_BYTES_MIN);
    for (let i = 0; i < 200; i += 1) {
      expect(model.send(2, 16 * KIB)).toBe(true);
      model.consume();
    }
    while (model.send(1, 16 * KIB));
    model.consumeAll();
    expect(idle.grantedBytes).toBe(512 * KIB);
    expect(busy.grantedBytes).toBeGreaterThan(384 * KIB);
  });
});
