// What was received and waits: partitions take turns, each in its order. Whoever asks gets messages one by one, decoded as
// they are taken.
import { BrokerError, isBrokerError } from "../model/errors.ts";
import type { RecordWalker } from "../model/record-batch-decoder.ts";
import type { ConsumerChannel } from "./consumer-channel.ts";
import { ConsumerMessage, type MessageContext } from "./consumer-message.ts";
import { reject } from "./handler-outcome.ts";
import type { HeldDelivery } from "./held-delivery.ts";

export class DeliveryBuffer<T> {
  /** Exclusive channels give one message (or one batch) at a time. */
  isGated = false;
  readonly #context: MessageContext<T>;
  /** Channels that may give something, in turn. */
  #ring: ConsumerChannel[] = [];
  #size = 0;

  constructor(context: MessageContext<T>) {
    this.#context = context;
  }

  /** Messages that wait. */
  get size(): number {
    return this.#size;
  }

  add(channel: ConsumerChannel, delivery: HeldDelivery): void {
    this.#size += delivery.waiting;
    if (channel.add(delivery)) this.wake(channel);
  }

  /** Messages of the channel do not wait any more. */
  left(count: number): void {
    this.#size -= count;
  }

  /** The channel may give something again. */
  wake(channel: ConsumerChannel): void {
    if (channel.isQueued || channel.queue.length === 0 || !this.#mayGive(channel)) return;
    channel.isQueued = true;
    this.#ring.push(channel);
  }

  /** The next message, begun. */
  take(): ConsumerMessage<T> | undefined {
    for (;;) {
      const channel = this.#ring[0];
      if (channel === undefined) return undefined;
      const message = this.#mayGive(channel) ? this.#takeFrom(channel) : undefined;
      if (message === undefined) {
        this.#rotate();
        continue;
      }
      if (this.isGated && channel.isInOrder) {
        channel.busy += 1;
        this.#rotate();
      }
      return message;
    }
  }

  /** Up to so many messages, begun; where order counts all of them from one partition. */
  takeBatch(messagesMax: number): ConsumerMessage<T>[] {
    const messages: ConsumerMessage<T>[] = [];
    for (;;) {
      const channel = this.#ring[0];
      if (channel === undefined) return messages;
      const isAlone = channel.isInOrder;
      if (isAlone && messages.length > 0) return messages;
      while (messages.length < messagesMax && this.#mayGive(channel)) {
        const message = this.#takeFrom(channel);
        if (message === undefined) break;
        messages.push(message);
      }
      if (isAlone) channel.busy += messages.length;
      if (messages.length < messagesMax || isAlone) this.#rotate();
      if (messages.length > 0 && (isAlone || messages.length >= messagesMax)) return messages;
    }
  }

  #mayGive(channel: ConsumerChannel): boolean {
    return !channel.isOver && !(this.isGated && channel.isInOrder && channel.busy > 0);
  }

  /** The first channel had its turn. */
  #rotate(): void {
    const channel = this.#ring.shift();
    if (channel === undefined) return;
    channel.isQueued = false;
    this.wake(channel);
  }

  /** A partition's turn lasts as long as one delivery. */
  #takeFrom(channel: ConsumerChannel): ConsumerMessage<T> | undefined {
    const delivery = channel.queue[0];
    if (delivery === undefined) return undefined;
    const walker = stepped(delivery);
    if (walker !== undefined) return new ConsumerMessage(delivery, walker, this.#context);
    // Unless it went with everything that waited.
    if (channel.queue[0] === delivery) channel.queue.shift();
    return undefined;
  }
}

/** What its producer encoded so that nobody can read it goes to the dead letters. */
function stepped(delivery: HeldDelivery): RecordWalker | undefined {
  try {
    return delivery.next();
  } catch (error) {
    if (!isBrokerError(error)) throw error;
    delivery.giveBack(reject(new BrokerError("MALFORMED_BATCH", error.message)));
    return undefined;
  }
}
