// A random world around a dispatcher: consumers that work, fail, vanish and come back, reads and updates that take time,
// leaders that change. After each step it looks whether a promise was broken.
import type { Random } from "../../src/base/random.ts";
import type { OffsetRange, SubscriptionUpdate } from "../../src/delivery/delivery-commands.ts";
import type {
  Credit,
  OutgoingDelivery,
  ReadRequest,
  SettlementKind,
} from "../../src/delivery/dispatch-types.ts";
import type { SubscriptionDefinition, SubscriptionMode } from "../../src/model/subscription.ts";
import { DEADLINE_MS, Harness } from "./dispatch-support.ts";

const IDS = ["c0", "c1", "c2", "c3", "c4", "c5", "c6"];
const KEYS = [undefined, undefined, "a", "a", "b", "c", "d", "e"];

interface Worker {
  readonly key: number;
  readonly id: string;
  readonly reportsBegun: boolean;
  /** Of the leader that gave it what it holds. */
  readonly leaderEpoch: number;
  readonly credit: Credit;
  /** By delivery number. */
  readonly held: Map<number, Set<number>>;
  readonly begun: Set<number>;
}

interface Open {
  readonly worker: number;
  readonly kind: SettlementKind;
  readonly offsets: readonly number[];
}

export class DispatchModel {
  readonly h: Harness;
  readonly #random: Random;
  readonly #workers = new Map<number, Worker>();
  /** Who has a message now, under which number. */
  readonly #out = new Map<number, { readonly worker: number; readonly number: number }>();
  /** Settlements that were accepted and not confirmed. */
  readonly #open = new Map<number, Open>();
  /** Failures that happened and are not replicated, by offset. */
  readonly #failures = new Map<number, number>();
  /** What may be settled, and why. */
  readonly #mayBeSettled = new Set<number>();
  /** A former filter did not want them, so that later ones may have gone out. */
  readonly #wasUnwanted = new Set<number>();
  /** Confirmed acknowledgements. */
  readonly #confirmed = new Set<number>();
  /** Workers of the leader before, that may come back, and until when the new one must wait for them. */
  #former: Worker[] = [];
  #formerUntilMs = 0;
  #read: ReadRequest | undefined;
  #update: SubscriptionUpdate | undefined;
  /** An update is in the state, and the dispatcher was not told yet: other turns may come in between. */
  #isUntold = false;
  /** Under which leader the last seek was. */
  #seekEpoch = 0;
  #nextWorker = 1;
  #filter = 0;
  counts = {
    deliveries: 0,
    redeliveries: 0,
    stale: 0,
    leaders: 1,
    adopted: 0,
    failures: 0,
    seeks: 0,
    voided: 0,
    passedOver: 0,
  };

  constructor(mode: SubscriptionMode, changes: Partial<SubscriptionDefinition>, random: Random) {
    this.#random = random;
    this.h = new Harness(mode, changes);
    this.h.isUnwanted = (offset) => this.#filter > 0 && (offset * 7 + this.#filter) % 5 === 0;
  }

  step(): void {
    const action = this.#random.next();
    this.h.random = this.#random.next();
    if (action < 0.08) this.#append();
    else if (action < 0.12) this.#addWorker();
    else if (action < 0.135) this.#loseWorker();
    else if (action < 0.25) this.#addCredit();
    else if (action < 0.55) this.#settleSome();
    else if (action < 0.58) this.#settleStale();
    else if (action < 0.68) this.#propose();
    else if (action < 0.78) this.#apply();
    else if (action < 0.9) this.#stepRead();
    else if (action < 0.94) this.h.pass(this.#random.integer(1, 1500));
    else if (action < 0.945) this.h.pass(this.#random.integer(1, DEADLINE_MS));
    else if (action < 0.955) this.#moveDead();
    else if (action < 0.965) this.#releaseParked();
    else if (action < 0.97) this.#changeFilter();
    else if (action < 0.975) this.#comeBack();
    else if (action < 0.978) this.#dropBelow();
    else if (action < 0.98) this.#changeLeader();
    else if (action < 0.985) this.#seek();
    else if (action < 0.99) this.h.dispatcher.seeked(this.h.nowMs);
    else if (action < 0.995) this.#fallSilent();
    this.#takeOutput();
    this.#check();
  }

  /** No more faults: consumers acknowledge everything. */
  finish(): void {
    this.#former = [];
    for (let round = 0; round < 3000; round += 1) {
      if (this.#isDone()) return;
      if (this.#workers.size === 0) this.#addWorker();
      this.#addCredit(50);
      for (const worker of this.#workers.values()) {
        for (const [number, offsets] of [...worker.held]) {
          const ranges = [...offsets].map((offset): OffsetRange => [offset, offset + 1]);
          this.#settle(
            worker,
            "ack",
            number,
            ranges.sort(([a], [b]) => a - b),
          );
        }
      }
      this.#propose();
      this.#apply();
      this.#stepRead();
      this.#moveDead();
      this.#releaseParked();
      this.h.pass(500);
      this.#takeOutput();
      this.#check();
    }
    throw new Error(`not settled in the end: cursor ${this.h.state.cursor} of ${this.h.endOffset}`);
  }

  #isDone(): boolean {
    const { state, endOffset, heldBatches } = this.h;
    const isReplicated = this.#update === undefined && !this.#isUntold;
    const isQuiet = this.#open.size === 0 && isReplicated && this.#read === undefined;
    return state.cursor === endOffset && isQuiet && heldBatches.length === 0;
  }

  #append(): void {
    const count = this.#random.integer(1, 12);
    const keys = Array.from({ length: count }, () => this.#pick(KEYS));
    this.h.append(keys);
  }

  #addWorker(): void {
    if (this.#workers.size >= 4) return;
    const key = this.#nextWorker;
    this.#nextWorker += 1;
    const taken = new Set([...this.#workers.values()].map((worker) => worker.id));
    const id = this.#pick(IDS.filter((one) => !taken.has(one))) ?? "c";
    // A process that began anew under its old name: what it did before is over.
    this.#former = this.#former.filter((worker) => worker.id !== id);
    const reportsBegun = this.#random.next() < 0.7;
    this.h.consumer(key, this.#random.integer(0, 10), { id, reportsBegun });
    this.#note(key, id, reportsBegun, new Map());
  }

  #note(key: number, id: string, reportsBegun: boolean, held: Map<number, Set<number>>): void {
    const credit = this.h.credits.get(key) ?? { messages: 0, bytes: 0 };
    const { term: leaderEpoch } = this.h;
    const begun = new Set<number>();
    this.#workers.set(key, { key, id, reportsBegun, leaderEpoch, credit, held, begun });
  }

  #loseWorker(): void {
    const worker = this.#anyWorker();
    if (worker === undefined) return;
    const outstanding = [...worker.held.values()].flatMap((offsets) => [...offsets]);
    const [first] = [...worker.held.entries()].sort(([a], [b]) => a - b);
    const oldest = first === undefined ? [] : [Math.min(...first[1])];
    for (const offset of worker.reportsBegun
      ? outstanding.filter((one) => worker.begun.has(one))
      : oldest) {
      this.#fails(offset);
    }
    for (const offset of outstanding) this.#out.delete(offset);
    this.#workers.delete(worker.key);
    for (const [number, { worker: of }] of this.#open) {
      if (of === worker.key) this.#open.delete(number);
    }
    this.h.lose(worker.key);
  }

  #addCredit(messages = this.#random.integer(1, 15)): void {
    const worker = this.#anyWorker();
    if (worker !== undefined) this.h.credit(worker.key, messages);
  }

  /** It lost something in another partition. */
  #fallSilent(): void {
    const worker = this.#anyWorker();
    if (worker !== undefined) this.h.setSilent(worker.key, true);
  }

  #settleSome(): void {
    const worker = this.#anyWorker();
    const delivery = worker === undefined ? undefined : this.#pick([...worker.held.entries()]);
    if (worker === undefined || delivery === undefined) return;
    const [number, offsets] = delivery;
    const kinds: SettlementKind[] = [
      "ack",
      "ack",
      "ack",
      "ack",
      "nack",
      "release",
      "extend",
      "begun",
    ];
    const kind = this.#random.next() < 0.02 ? "reject" : this.#pick(kinds);
    if (kind === undefined) return;
    if (kind === "ack" && this.#random.next() < 0.1) {
      this.#ackUpTo(worker, number);
      return;
    }
    const isAll = this.#random.next() < 0.3;
    const share = this.#random.next();
    const named = [...offsets].filter(() => isAll || this.#random.next() < share);
    if (named.length === 0) return;
    const ranges = named.sort((a, b) => a - b).map((offset): OffsetRange => [offset, offset + 1]);
    this.#settle(worker, kind, number, ranges);
  }

  #ackUpTo(worker: Worker, upTo: number): void {
    const deliveries = [...worker.held].filter(([number]) => number <= upTo);
    const offsets = deliveries.flatMap(([, held]) => [...held]);
    const { number, outcome } = this.h.settle(worker.key, "ack", upTo, [], { isCumulative: true });
    if (outcome === "stale") return;
    if (outcome === "later") this.#open.set(number, { worker: worker.key, kind: "ack", offsets });
    for (const offset of offsets) {
      this.#mayBeSettled.add(offset);
      this.#out.delete(offset);
    }
    for (const [held] of deliveries) worker.held.delete(held);
  }

  #settle(
    worker: Worker,
    kind: SettlementKind,
    deliveryNumber: number,
    ranges: readonly OffsetRange[],
  ): void {
    const offsets = ranges.map(([from]) => from);
    // What is lost right now is told with the next output: this settlement comes first.
    const { number, outcome } = this.h.settle(worker.key, kind, deliveryNumber, ranges);
    if (kind === "begun") {
      for (const offset of offsets) worker.begun.add(offset);
      return;
    }
    if (outcome === "stale") {
      const isLost = offsets.some((offset) => this.#out.get(offset)?.number !== deliveryNumber);
      if (!isLost) throw new Error(`stale although everything is held: ${offsets.join(" ")}`);
      this.counts.stale += 1;
      return;
    }
    if (outcome === "later") this.#open.set(number, { worker: worker.key, kind, offsets });
    if (kind === "extend") return;
    const held = worker.held.get(deliveryNumber);
    for (const offset of offsets) {
      held?.delete(offset);
      if (held?.size === 0) worker.held.delete(deliveryNumber);
      this.#out.delete(offset);
      worker.begun.delete(offset);
      if (kind === "ack") this.#mayBeSettled.add(offset);
      if (kind === "nack" || kind === "reject") this.#fails(offset);
    }
  }

  /** Somebody settles what is another one's, or nobody's. */
  #settleStale(): void {
    const worker = this.#anyWorker();
    const out = this.#pick([...this.#out.entries()]);
    if (worker === undefined || out === undefined) return;
    const [offset, { worker: of, number }] = out;
    if (of === worker.key) return;
    const { outcome } = this.h.settle(worker.key, "ack", number, [[offset, offset + 1]]);
    const isSettled = this.h.state.settled.isSettled(offset);
    if (outcome !== "stale" && !isSettled) throw new Error(`stale ack of ${offset} accepted`);
    this.counts.stale += 1;
  }

  #propose(): void {
    this.#update ??= this.h.dispatcher.takeUpdate(this.h.nowMs);
  }

  #apply(): void {
    if (this.#isUntold) {
      this.#isUntold = false;
      this.h.dispatcher.updateApplied(this.h.nowMs);
      return;
    }
    const update = this.#update;
    if (update === undefined) return;
    this.#update = undefined;
    for (const [from, to] of update.settle ?? []) {
      for (let offset = from; offset < to; offset += 1) this.#checkSettled(offset);
    }
    for (const { offset, attempt } of [...(update.fail ?? []), ...(update.dead ?? [])]) {
      if (attempt !== undefined) this.#failureReplicated(offset);
    }
    this.h.state.update(update, this.h.endOffset);
    this.#isUntold = true;
  }

  #checkSettled(offset: number): void {
    const isFiltered = this.h.isUnwanted(offset) || this.#mayBeSettled.has(offset);
    if (!isFiltered) throw new Error(`${offset} is settled although nobody acknowledged it`);
  }

  #failureReplicated(offset: number): void {
    const left = (this.#failures.get(offset) ?? 0) - 1;
    if (left < 0) throw new Error(`a failure of ${offset} is counted twice`);
    if (left === 0) this.#failures.delete(offset);
    else this.#failures.set(offset, left);
    this.counts.failures += 1;
  }

  #fails(offset: number): void {
    this.#failures.set(offset, (this.#failures.get(offset) ?? 0) + 1);
  }

  #stepRead(): void {
    if (this.#read === undefined) {
      this.#read = this.h.dispatcher.nextRead(this.h.nowMs);
      return;
    }
    const request = this.#read;
    this.#read = undefined;
    if (this.#random.next() < 0.03) this.h.dispatcher.onReadFailed();
    else this.h.answer(request);
  }

  #moveDead(): void {
    const dead = this.#pick(this.h.state.failures.dead());
    if (dead === undefined) return;
    this.#mayBeSettled.add(dead.offset);
    this.h.dispatcher.deadMoved(dead.offset);
  }

  #releaseParked(): void {
    const parked = this.#pick(this.h.state.parked.all());
    if (parked === undefined) return;
    const action = this.#pick(["retry", "dead", "settle"] as const) ?? "retry";
    if (action === "settle") this.#mayBeSettled.add(parked.offset);
    this.h.dispatcher.releaseParked(parked.offset, action);
  }

  #changeFilter(): void {
    // What the old one did not want may be settled already, or be under way.
    for (let offset = 0; offset < this.h.endOffset; offset += 1) {
      if (!this.h.isUnwanted(offset)) continue;
      this.#mayBeSettled.add(offset);
      this.#wasUnwanted.add(offset);
    }
    this.#filter = this.#random.integer(0, 4);
    this.h.configure({ filter: `${this.#filter}` });
  }

  #dropBelow(): void {
    const { state, logStartOffset } = this.h;
    const offset = Math.min(state.cursor + this.#random.integer(0, 4), this.h.endOffset);
    if (offset <= logStartOffset || this.#update !== undefined) return;
    this.h.dropBelow(offset);
  }

  /** In the state alone: the dispatcher is told later, or finds out, or dies before it tells anybody. */
  #seek(): void {
    const { endOffset, logStartOffset } = this.h;
    const offset = this.#random.integer(logStartOffset, endOffset + 1);
    this.h.seekUntold(offset);
    this.#seekEpoch = this.h.term;
    this.counts.seeks += 1;
    for (let at = offset; at < endOffset; at += 1) this.#confirmed.delete(at);
    // Their settlements are void, and confirmed nevertheless.
    for (const [number, open] of this.#open) this.#open.set(number, { ...open, offsets: [] });
    if (this.#random.next() < 0.4) this.#changeLeader();
  }

  #changeLeader(): void {
    this.counts.leaders += 1;
    // One that did not come back within a deadline after the last change holds nothing.
    const isWaiting = this.h.nowMs < this.#formerUntilMs;
    this.#former = [...(isWaiting ? this.#former : []), ...this.#workers.values()];
    this.#formerUntilMs = this.h.nowMs + DEADLINE_MS;
    this.#workers.clear();
    this.#out.clear();
    this.#open.clear();
    this.#failures.clear();
    this.#read = undefined;
    this.#update = undefined;
    this.#isUntold = false;
    this.h.changeLeader();
    while (this.#random.next() < 0.8) this.#comeBack();
  }

  #comeBack(): void {
    const worker = this.#former.shift();
    if (worker === undefined) return;
    const key = this.#nextWorker;
    this.#nextWorker += 1;
    const { id, leaderEpoch, reportsBegun } = worker;
    this.h.consumer(key, 5, { id, reportsBegun, resumes: false });
    const deliveries = [...worker.held.values()].map((offsets) => ({
      leaderEpoch,
      ranges: [...offsets].sort((a, b) => a - b).map((offset): OffsetRange => [offset, offset + 1]),
    }));
    const held = new Map<number, Set<number>>();
    const isVoid = leaderEpoch <= this.#seekEpoch;
    if (isVoid) this.counts.voided += deliveries.length;
    for (const { number, ranges } of this.h.resume(key, deliveries)) {
      const offsets = new Set(offsetsIn(ranges));
      if (isVoid && offsets.size > 0) throw new Error(`${id} goes on with what a seek made void`);
      if (number > 0) held.set(number, offsets);
      for (const offset of offsets) {
        this.#checkFree(offset);
        this.#out.set(offset, { worker: key, number });
        this.#checkOrder(offset, key);
        this.counts.adopted += 1;
      }
    }
    this.#note(key, id, reportsBegun, held);
  }

  #takeOutput(): void {
    const { lost, confirmed, deliveries } = this.h.take();
    for (const { consumer, number, ranges, cause } of lost) {
      const worker = this.#workers.get(consumer);
      for (const offset of offsetsIn(ranges)) {
        worker?.held.get(number)?.delete(offset);
        if (worker?.held.get(number)?.size === 0) worker.held.delete(number);
        this.#out.delete(offset);
        const isFailure = worker?.reportsBegun !== true || worker.begun.has(offset);
        if (cause === "deadline" && isFailure) this.#fails(offset);
        worker?.begun.delete(offset);
      }
    }
    for (const { numbers } of confirmed) for (const number of numbers) this.#confirm(number);
    for (const delivery of deliveries) this.#deliver(delivery);
    for (const { consumer } of deliveries) this.#checkSilent(consumer);
  }

  /** Whoever may be gone comes last. What somebody could still take after everything went out it could have taken before. */
  #checkSilent(consumer: number): void {
    const { definition, silent } = this.h;
    const isExclusive = definition.mode === "exclusive";
    const able = [...this.#workers.values()].filter(({ credit }) => credit.messages > 0);
    if (!silent.has(consumer)) {
      if (able.some(({ key }) => silent.has(key))) this.counts.passedOver += 1;
      return;
    }
    const better = (isExclusive ? [...this.#workers.values()] : able).find(
      ({ key }) => !silent.has(key),
    );
    if (better !== undefined) throw new Error(`a silent one comes before ${better.id}`);
  }

  #confirm(number: number): void {
    const open = this.#open.get(number);
    if (open === undefined) throw new Error(`settlement ${number} is confirmed and not open`);
    this.#open.delete(number);
    if (open.kind !== "ack") return;
    for (const offset of open.offsets) {
      this.#confirmed.add(offset);
      if (!this.h.state.settled.isSettled(offset)) {
        throw new Error(`the ack of ${offset} is confirmed and not in force`);
      }
    }
  }

  #deliver({ consumer, number, ranges, batch, redeliveries }: OutgoingDelivery<string>): void {
    const worker = this.#workers.get(consumer);
    if (worker === undefined) throw new Error("a delivery to nobody");
    const offsets = offsetsIn(ranges);
    worker.held.set(number, new Set(offsets));
    for (const offset of offsets) {
      if (offset < batch.baseOffset || offset >= batch.endOffset) throw new Error("wrong batch");
      if (this.h.isUnwanted(offset)) throw new Error(`${offset} is unwanted`);
      this.#checkFree(offset);
      this.#checkAbsent(offset);
      const failure = this.h.state.failures.get(offset);
      if (failure?.isDead === true) throw new Error(`${offset} is dead`);
      this.#out.set(offset, { worker: consumer, number });
      this.#checkOrder(offset, consumer);
      this.counts.deliveries += 1;
    }
    this.counts.redeliveries += redeliveries.length;
    if (worker.credit.messages < 0) throw new Error("more than the credit");
  }

  /** Order would be broken by whoever still works on an earlier one. */
  #checkAbsent(offset: number): void {
    if (this.h.definition.mode === "shared" || this.h.nowMs >= this.#formerUntilMs) return;
    const holder = this.#former.find(({ held }) =>
      [...held.values()].some((offsets) => offsets.has(offset)),
    );
    if (holder !== undefined) throw new Error(`${offset} goes out while ${holder.id} has it`);
  }

  #checkFree(offset: number): void {
    if (this.#out.has(offset)) throw new Error(`${offset} goes out twice`);
    if (this.h.state.settled.isSettled(offset)) throw new Error(`${offset} is settled`);
    if (this.#confirmed.has(offset)) throw new Error(`${offset} was confirmed`);
  }

  #checkOrder(offset: number, worker: number): void {
    const { mode } = this.h.definition;
    if (mode === "shared") return;
    if (mode === "exclusive") {
      for (const [, { worker: other }] of this.#out) {
        if (other !== worker) throw new Error("two consumers of one partition");
      }
    }
    const key = this.h.keyOf(offset);
    if (mode === "keyed" && key === undefined) return;
    for (let earlier = this.h.state.cursor; earlier < offset; earlier += 1) {
      if (this.#isPassed(earlier)) continue;
      const isSameKey = this.h.keyOf(earlier) === key;
      if (mode !== "exclusive" && !isSameKey) continue;
      // In exclusive mode earlier ones may be out too, and other keys may be parked or just released.
      if (mode === "exclusive" && (this.#out.has(earlier) || !isSameKey)) continue;
      throw new Error(`${offset} overtakes ${earlier}`);
    }
  }

  /** It need not be handed out any more. */
  #isPassed(offset: number): boolean {
    const { state } = this.h;
    if (state.settled.isSettled(offset) || this.h.isUnwanted(offset)) return true;
    if (this.#wasUnwanted.has(offset)) return true;
    if (this.h.definition.mode === "exclusive" && this.#mayBeSettled.has(offset)) return true;
    return state.failures.get(offset)?.isDead === true;
  }

  #check(): void {
    const { state, dispatcher } = this.h;
    const { outstandingMessages, cursor } = dispatcher.progress();
    if (outstandingMessages !== this.#out.size) {
      throw new Error(`${outstandingMessages} are out, ${this.#out.size} were expected`);
    }
    for (const offset of this.#confirmed) {
      if (!state.settled.isSettled(offset)) throw new Error(`confirmed ack of ${offset} forgotten`);
    }
    for (const offset of this.#out.keys()) {
      if (offset < cursor && offset >= this.h.logStartOffset) {
        throw new Error(`the cursor passed ${offset}, which is out`);
      }
    }
  }

  #anyWorker(): Worker | undefined {
    return this.#pick([...this.#workers.values()]);
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#random.integer(0, Math.max(1, from.length))];
  }
}

function offsetsIn(ranges: readonly OffsetRange[]): number[] {
  return ranges.flatMap(([from, to]) => Array.from({ length: to - from }, (_, at) => from + at));
}
