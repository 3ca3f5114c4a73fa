// What goes down a push session's stream in one message, gathered within a turn. Used by push-session.ts only.
import type { BrokerError } from "../model/errors.ts";
import type { SubscriptionMode } from "../model/subscription.ts";
import type { DeliveryContent } from "./delivery-form.ts";

/** Shape of the protocol's SubscribeResponse. */
export interface PushAnswer {
  readonly channels: readonly ChannelNote[];
  readonly deliveries: readonly DeliveryNote[];
  readonly settled: readonly number[];
  readonly refusals: readonly (RefusalNote & { readonly number: number })[];
  readonly lost: readonly LostNote[];
  readonly ended: readonly (RefusalNote & { readonly channel: number })[];
  readonly drained: boolean;
  readonly pausedUntilMs: number | undefined;
  readonly ackDeadlineMs: number | undefined;
  readonly answered: readonly number[];
}

/** Shape of the protocol's DeliveryChannel. */
export interface ChannelNote {
  readonly channel: number;
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly layoutEpoch: number;
  readonly ackDeadlineMs: number;
  readonly mode: SubscriptionMode;
}

/** Shape of the protocol's Delivery. */
export interface DeliveryNote extends DeliveryContent {
  readonly channel: number;
  readonly deliveryNumber: number;
  readonly redeliveries: readonly {
    readonly offset: number;
    readonly handedOut: number;
    readonly failed: number;
  }[];
  /** Pairs: first offset, count. */
  readonly resumed: readonly number[];
}

/** Shape of the protocol's LostMessages. */
export interface LostNote {
  readonly channel: number;
  readonly deliveryNumber: number;
  /** Pairs. */
  readonly ranges: readonly number[];
  readonly cause: string;
}

interface RefusalNote {
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** How an error travels inside an answer: the reason by name, its fields as texts. */
export function refusalNote(error: BrokerError): RefusalNote {
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(error.fields)) metadata[name] = String(value);
  return { reason: error.reason, message: error.message, metadata };
}

export class AnswerDraft {
  #channels: ChannelNote[] = [];
  #deliveries: DeliveryNote[] = [];
  #settled: number[] = [];
  #refusals: (RefusalNote & { readonly number: number })[] = [];
  #lost: LostNote[] = [];
  #ended: (RefusalNote & { readonly channel: number })[] = [];
  #isDrained = false;
  #pausedUntilMs: number | undefined;
  #ackDeadlineMs: number | undefined;
  #answered: number[] = [];
  #bytes = 0;
  #notes = 0;

  /** Of batches and messages. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How much is in it besides deliveries. */
  get notes(): number {
    return this.#notes;
  }

  get isEmpty(): boolean {
    return this.#notes === 0 && this.#deliveries.length === 0;
  }

  channel(note: ChannelNote): void {
    this.#channels.push(note);
    this.#notes += 1;
  }

  delivery(note: DeliveryNote, bytes: number): void {
    this.#deliveries.push(note);
    this.#bytes += bytes;
  }

  settled(number: number): void {
    this.#settled.push(number);
    this.#notes += 1;
  }

  refused(number: number, error: BrokerError): void {
    this.#refusals.push({ number, ...refusalNote(error) });
    this.#notes += 1;
  }

  lost(note: LostNote): void {
    this.#lost.push(note);
    this.#notes += 1;
  }

  ended(channel: number, error: BrokerError): void {
    this.#ended.push({ channel, ...refusalNote(error) });
    this.#notes += 1;
  }

  drained(): void {
    this.#isDrained = true;
    this.#notes += 1;
  }

  paused(untilMs: number): void {
    this.#pausedUntilMs = untilMs;
    this.#notes += 1;
  }

  ackDeadline(ms: number): void {
    this.#ackDeadlineMs = ms;
    this.#notes += 1;
  }

  /** What the consumer held of the channel's partition was looked at. */
  answered(channel: number): void {
    this.#answered.push(channel);
    this.#notes += 1;
  }

  /** Everything so far; the draft is empty afterwards. */
  take(): PushAnswer {
    const answer: PushAnswer = {
      channels: this.#channels,
      deliveries: this.#deliveries,
      settled: this.#settled,
      refusals: this.#refusals,
      lost: this.#lost,
      ended: this.#ended,
      drained: this.#isDrained,
      pausedUntilMs: this.#pausedUntilMs,
      ackDeadlineMs: this.#ackDeadlineMs,
      answered: this.#answered,
    };
    this.#channels = [];
    this.#deliveries = [];
    this.#settled = [];
    this.#refusals = [];
    this.#lost = [];
    this.#ended = [];
    this.#isDrained = false;
    this.#pausedUntilMs = undefined;
    this.#ackDeadlineMs = undefined;
    this.#answered = [];
    this.#bytes = 0;
    this.#notes = 0;
    return answer;
  }
}
