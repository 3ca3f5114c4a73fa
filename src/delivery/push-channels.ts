// The channels of one push session: partitions that are led here, in the order in which they get credit, and why others ended.
import type { Cancel } from "../base/clock.ts";
import { BrokerError } from "../model/errors.ts";
import { CHANNELS_PER_SESSION_MAX } from "../model/limits.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import type { ConsumerKey } from "./dispatch-types.ts";
import type { CheckedHeld } from "./push-request.ts";
import { invalid } from "./settle-request.ts";

export interface Channel {
  readonly number: number;
  readonly runner: DeliveryRunner;
  readonly key: ConsumerKey;
  /** Stops waiting for what the consumer holds from leaders that are gone; undefined: the runner knows it. */
  awaiting: Cancel | undefined;
}

export class PushChannels {
  /** Those that did not end, the longest unserved first. */
  readonly #open = new Map<number, Channel>();
  readonly #ended = new Map<number, BrokerError>();
  /** By partition, until it is passed on. */
  readonly #named = new Map<string, readonly CheckedHeld[]>();
  #count = 0;

  /** @param named what `open` says is held */
  constructor(named: readonly CheckedHeld[]) {
    for (const one of named) {
      const key = keyOf(one.topicId, one.partition);
      const known = this.#named.get(key);
      if (known === undefined) this.#named.set(key, [one]);
      else this.#named.set(key, [...known, one]);
    }
  }

  get isFull(): boolean {
    return this.#open.size >= CHANNELS_PER_SESSION_MAX;
  }

  /** In the order in which they are to get credit. */
  all(): Channel[] {
    return [...this.#open.values()];
  }

  /** The number of a new channel. */
  next(): number {
    this.#count += 1;
    return this.#count - 1;
  }

  get(number: number): Channel | undefined {
    return this.#open.get(number);
  }

  add(channel: Channel): void {
    this.#open.set(channel.number, channel);
  }

  /** @throws BrokerError for a channel that ended, why: whoever leads the partition now takes settlements */
  require(number: number): Channel {
    const channel = this.#open.get(number);
    if (channel !== undefined) return channel;
    const ended = this.#ended.get(number);
    if (ended !== undefined) throw ended;
    if (number < this.#count) {
      throw new BrokerError("STALE_DELIVERY", `channel ${number} ended long ago`);
    }
    throw invalid("settle.channel", "one that the broker introduced");
  }

  /** Reasons of the oldest ones are forgotten. */
  end(number: number, error: BrokerError): void {
    this.#open.get(number)?.awaiting?.();
    this.#open.delete(number);
    const [oldest] = this.#ended.keys();
    if (oldest !== undefined && this.#ended.size >= CHANNELS_PER_SESSION_MAX) {
      this.#ended.delete(oldest);
    }
    this.#ended.set(number, error);
  }

  /** Whoever was first is last now. */
  rotate(): void {
    for (const channel of this.#open.values()) {
      this.#open.delete(channel.number);
      this.#open.set(channel.number, channel);
      return;
    }
  }

  clear(): void {
    for (const { awaiting } of this.#open.values()) awaiting?.();
    this.#open.clear();
  }

  /** What `open` named of a partition, once. */
  takeNamed(topicId: string, partition: number): readonly CheckedHeld[] {
    const key = keyOf(topicId, partition);
    const named = this.#named.get(key) ?? [];
    this.#named.delete(key);
    return named;
  }
}

function keyOf(topicId: string, partition: number): string {
  return `${topicId}/${partition}`;
}
