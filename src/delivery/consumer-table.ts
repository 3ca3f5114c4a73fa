// The push sessions that get messages from one dispatcher, and whose turn it is. A turn is one lease, then the others come
// first: a thousand consumers with little credit all get their share. Until the first turn the row is shuffled by a hash of
// the dispatcher's name: otherwise the first burst of every partition would go to the consumers that came first. Those that
// may be gone have turns only when nobody else can, and one message at a time. Pure.
import { type ConsumerHash, consumerHash } from "./consumer-hash.ts";
import type { ConsumerInfo, ConsumerKey, Credit } from "./dispatch-types.ts";
import { rendezvousHash } from "./rendezvous-plan.ts";

export class Consumer {
  readonly key: ConsumerKey;
  readonly id: string;
  readonly hash: ConsumerHash;
  readonly reportsBegun: boolean;
  readonly credit: Credit;
  isDraining = false;
  /** It said what it still works on. */
  hasResumed = false;
  isGone = false;
  /** It lost something by its deadline and has said nothing since: nobody may be there. */
  isSilent = false;
  /** It stands in a row of turns. */
  isInRow = false;
  /** Newest delivery number it got. */
  lastNumber = 0;
  /** Settlements that are in force and not confirmed yet. */
  confirmed: number[] = [];
  /** A cumulative settlement up to a delivery in [#lostFrom, #lostUntil] may mean messages that were lost meanwhile. */
  #lostFrom = 0;
  #lostUntil = -1;

  constructor(key: ConsumerKey, info: ConsumerInfo) {
    this.key = key;
    this.id = info.id;
    this.hash = consumerHash(info.id);
    this.reportsBegun = info.reportsBegun;
    this.credit = info.credit;
  }

  get hasCredit(): boolean {
    return this.credit.messages > 0 && this.credit.bytes > 0;
  }

  /** Something of a delivery was taken away: what it got until now was sent before it could know. */
  noteLoss(deliveryNumber: number): void {
    const isApart = deliveryNumber > this.#lostUntil;
    this.#lostFrom = isApart ? deliveryNumber : Math.min(this.#lostFrom, deliveryNumber);
    this.#lostUntil = this.lastNumber;
  }

  mayMeanLost(deliveryNumber: number): boolean {
    return deliveryNumber >= this.#lostFrom && deliveryNumber <= this.#lostUntil;
  }
}

export class ConsumerTable {
  readonly #consumers = new Map<ConsumerKey, Consumer>();
  readonly #name: string;
  readonly #mustResume: boolean;
  readonly #isHolding: (consumer: ConsumerKey) => boolean;
  /** Somebody had a turn: from then on the row is in the order of waking. */
  #hasBegun = false;
  #row: Consumer[] = [];
  #rowStart = 0;
  /** Silent ones that were met in the row. */
  #silent: Consumer[] = [];
  #version = 0;

  /**
   * @param name of the dispatcher: others begin at other consumers
   * @param mustResume nothing goes to a consumer before it has said what it still works on
   * @param isHolding whether the consumer has something that is not settled
   */
  constructor(name: string, mustResume: boolean, isHolding: (consumer: ConsumerKey) => boolean) {
    this.#name = name;
    this.#mustResume = mustResume;
    this.#isHolding = isHolding;
  }

  get count(): number {
    return this.#consumers.size;
  }

  /** Grows when other consumers can be chosen than before. */
  get version(): number {
    return this.#version;
  }

  get(key: ConsumerKey): Consumer | undefined {
    return this.#consumers.get(key);
  }

  all(): Iterable<Consumer> {
    return this.#consumers.values();
  }

  add(key: ConsumerKey, info: ConsumerInfo): Consumer {
    const consumer = new Consumer(key, info);
    this.#consumers.set(key, consumer);
    this.wake(consumer);
    return consumer;
  }

  markResumed(consumer: Consumer): void {
    consumer.hasResumed = true;
    this.#version += 1;
    this.wake(consumer);
  }

  remove(consumer: Consumer): void {
    this.#consumers.delete(consumer.key);
    this.#version += 1;
    consumer.isGone = true;
  }

  drain(consumer: Consumer): void {
    consumer.isDraining = true;
    this.#version += 1;
  }

  setSilent(consumer: Consumer, isSilent: boolean): void {
    if (consumer.isSilent === isSilent) return;
    consumer.isSilent = isSilent;
    this.#version += 1;
    const at = isSilent ? -1 : this.#silent.indexOf(consumer);
    if (at < 0) return;
    this.#silent.splice(at, 1);
    consumer.isInRow = false;
    this.wake(consumer);
  }

  canReceive(consumer: Consumer): boolean {
    if (consumer.isGone || consumer.isDraining || !consumer.hasCredit) return false;
    return consumer.hasResumed || !this.#mustResume;
  }

  /** Whether it may get something now: a silent one has to leave what it has first. */
  canBeServed(consumer: Consumer): boolean {
    if (!this.canReceive(consumer)) return false;
    return !consumer.isSilent || !this.#isHolding(consumer.key);
  }

  /** Something changed that it may have waited for. */
  wake(consumer: Consumer): void {
    if (consumer.isInRow || !this.canReceive(consumer)) return;
    consumer.isInRow = true;
    if (this.#hasBegun) this.#row.push(consumer);
    else this.#shuffleIn(consumer);
  }

  /** Whose turn it is; undefined: nobody can receive anything. */
  first(): Consumer | undefined {
    for (; this.#rowStart < this.#row.length; this.#rowStart += 1) {
      const consumer = this.#row[this.#rowStart];
      if (consumer === undefined) continue;
      if (!this.canReceive(consumer)) consumer.isInRow = false;
      else if (consumer.isSilent) this.#silent.push(consumer);
      else return consumer;
    }
    this.#row = [];
    this.#rowStart = 0;
    return this.#firstSilent();
  }

  /** The first one had its turn. */
  rotate(): void {
    const consumer = this.first();
    if (consumer === undefined) return;
    this.#hasBegun = true;
    consumer.isInRow = false;
    if (consumer.isSilent) this.#silent.splice(this.#silent.indexOf(consumer), 1);
    else this.#rowStart += 1;
    if (this.#rowStart > 1024 && this.#rowStart * 2 > this.#row.length) {
      this.#row.splice(0, this.#rowStart);
      this.#rowStart = 0;
    }
    this.wake(consumer);
  }

  /** Those that have something keep their place: whatever takes it from them, they may be next then. */
  #firstSilent(): Consumer | undefined {
    for (let at = 0; at < this.#silent.length; ) {
      const consumer = this.#silent[at];
      if (consumer === undefined) break;
      if (this.canBeServed(consumer)) return consumer;
      if (this.canReceive(consumer)) at += 1;
      else {
        consumer.isInRow = false;
        this.#silent.splice(at, 1);
      }
    }
    return undefined;
  }

  /** It takes a place in the row, whoever stood there goes to the end: costs the same however long the row is. */
  #shuffleIn(consumer: Consumer): void {
    const places = this.#row.length - this.#rowStart + 1;
    const at = this.#rowStart + (rendezvousHash(consumer.id, this.#name) % places);
    const displaced = this.#row[at];
    this.#row[at] = consumer;
    if (displaced !== undefined) this.#row.push(displaced);
  }
}
