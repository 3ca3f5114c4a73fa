// The settlements of one stream: what one turn decided becomes one settlement per delivery, kind and run of offsets; what
// was sent is remembered until it is answered. Refusals that will pass are sent again.
import type { Deferred } from "../base/deferred.ts";
import type { Settle, SettleRefusal } from "../rpc/generated/flotilla-v1.ts";
import { errorOfReason } from "../rpc/status.ts";
import { asFlotillaError, FlotillaError } from "./flotilla-error.ts";
import type { HeldDelivery } from "./held-delivery.ts";
import type { PlannedSettle } from "./record-states.ts";

interface SentSettle {
  readonly channel: number;
  readonly delivery: HeldDelivery;
  readonly ranges: readonly number[];
  readonly isExtension: boolean;
  /** Monotonic ms. */
  readonly sentMs: number;
  readonly done: Deferred<void> | undefined;
}

/** The protocol bounds the elements of a message; a settlement is one, and each number of its ranges. */
const REQUEST_ELEMENTS_MAX = 8192;

export class SettlementQueue {
  /** Numbers the channels, which know nothing of the wire. */
  readonly #channelOf: (delivery: HeldDelivery) => number | undefined;
  #touched: HeldDelivery[] = [];
  /** Planned and not sent, because a request was full. */
  #planned: { readonly delivery: HeldDelivery; readonly settles: PlannedSettle[] }[] = [];
  readonly #sent = new Map<number, SentSettle>();
  #number = 0;

  /** @param channelOf the delivery's channel on the stream; undefined when it has none (any more) */
  constructor(channelOf: (delivery: HeldDelivery) => number | undefined) {
    this.#channelOf = channelOf;
  }

  get isEmpty(): boolean {
    return this.#touched.length === 0 && this.#planned.length === 0;
  }

  /** Settlements that wait for an answer. */
  get unanswered(): number {
    return this.#sent.size;
  }

  touch(delivery: HeldDelivery): void {
    delivery.isTouched = true;
    this.#touched.push(delivery);
  }

  /** What to send now, at most one request full. Ask again while it is not empty. */
  take(nowMs: number): Settle[] {
    for (const delivery of this.#touched.splice(0)) {
      if (this.#channelOf(delivery) === undefined) continue;
      const settles: PlannedSettle[] = [];
      delivery.takeSettles(settles);
      if (settles.length > 0) this.#planned.push({ delivery, settles });
    }
    const request: Settle[] = [];
    let elements = 0;
    while (elements < REQUEST_ELEMENTS_MAX) {
      const next = this.#planned[0];
      if (next === undefined) break;
      const settle = next.settles.shift();
      if (settle === undefined) {
        this.#planned.shift();
        continue;
      }
      const channel = this.#channelOf(next.delivery);
      if (channel === undefined) continue;
      elements += 1 + settle.ranges.length;
      request.push(this.#send(next.delivery, channel, settle, nowMs));
    }
    if (this.#planned[0]?.settles.length === 0) this.#planned.shift();
    return request;
  }

  /** These are in force. */
  settled(numbers: readonly number[]): void {
    for (const number of numbers) {
      const sent = this.#sent.get(number);
      if (sent === undefined) continue;
      this.#sent.delete(number);
      const { delivery, done, isExtension, ranges, sentMs } = sent;
      if (isExtension) delivery.extended(ranges, sentMs);
      else delivery.confirm(ranges);
      done?.resolve();
    }
  }

  /** @returns a function that sends them again, when the refusal will pass; undefined: it is final */
  refused(refusal: SettleRefusal): (() => void) | undefined {
    const sent = this.#sent.get(refusal.number);
    if (sent === undefined) return undefined;
    this.#sent.delete(refusal.number);
    const error = errorOfReason(refusal.reason, refusal.message, refusal.metadata);
    if (sent.isExtension) {
      sent.delivery.notExtended(sent.ranges);
      sent.done?.reject(asFlotillaError(error));
      return undefined;
    }
    if (error.retryable) return () => sent.delivery.repeat(sent.ranges);
    sent.delivery.refuse(sent.ranges, asFlotillaError(error));
    return undefined;
  }

  /** The channel ended: what was sent on it is not waited for; what becomes of it is asked of the next leader. */
  channelEnded(channel: number): void {
    for (const [number, sent] of this.#sent) {
      if (sent.channel !== channel) continue;
      this.#sent.delete(number);
      sent.done?.reject(
        new FlotillaError(
          "UNREACHABLE",
          "the broker does not lead the partition any more",
          {},
          "unknown",
        ),
      );
    }
  }

  /** The stream is over: nobody answers any more. */
  end(): void {
    const error = new FlotillaError("UNREACHABLE", "the stream ended", {}, "unknown");
    for (const { done } of this.#sent.values()) done?.reject(error);
    for (const { settles } of this.#planned) {
      for (const { done } of settles) done?.reject(error);
    }
    this.#sent.clear();
    this.#planned = [];
    for (const delivery of this.#touched.splice(0)) delivery.isTouched = false;
  }

  #send(delivery: HeldDelivery, channel: number, settle: PlannedSettle, sentMs: number): Settle {
    this.#number += 1;
    const number = this.#number;
    const { done, error, kind, ranges, retryAtMs } = settle;
    const isExtension = kind === "extend";
    const sent = { channel, delivery, ranges, isExtension, sentMs, done };
    // BEGUN is not answered.
    if (kind !== "begun") this.#sent.set(number, sent);
    return {
      number,
      channel,
      deliveryNumber: delivery.number,
      kind,
      ranges,
      cumulative: false,
      retryAtMs,
      error,
    };
  }
}
