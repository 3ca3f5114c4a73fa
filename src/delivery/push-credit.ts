// What a consumer allowed a broker to send, and the part of it that dispatchers see. Nothing is visible while the transport
// is full, and never more bytes than one message of the stream shall hold: whatever goes out is sent in the same turn.
import { BULK_MESSAGE_BYTES_TARGET } from "../model/limits.ts";
import type { Credit } from "./dispatch-types.ts";

/** Credit beyond this is not remembered. */
const MESSAGES_MAX = 2 ** 31;
const BYTES_MAX = 2 ** 40;

export class PushCredit {
  /** Shared with the dispatchers, which take from it. */
  readonly visible: Credit = { messages: 0, bytes: 0 };
  #messages = 0;
  #bytes = 0;

  /** Dispatchers take nothing any more until they are told. */
  get isUsedUp(): boolean {
    return this.visible.messages <= 0 || this.visible.bytes <= 0;
  }

  add(messages: number, bytes: number): void {
    this.#messages = Math.min(this.#messages + messages, MESSAGES_MAX);
    this.#bytes = Math.min(this.#bytes + bytes, BYTES_MAX);
  }

  /** What was taken was too much, or (below zero) too little. */
  refund(messages: number, bytes: number): void {
    this.#messages += messages;
    this.#bytes += bytes;
  }

  /** Nothing may be handed out for now. */
  hide(): void {
    this.#messages += this.visible.messages;
    this.#bytes += this.visible.bytes;
    this.visible.messages = 0;
    this.visible.bytes = 0;
  }

  /**
   * As much as may go into the next message of the stream.
   * @returns whether anything may be handed out
   */
  show(bytesMax: number = BULK_MESSAGE_BYTES_TARGET): boolean {
    this.hide();
    const bytes = Math.min(this.#bytes, bytesMax);
    if (this.#messages <= 0 || bytes <= 0) return false;
    this.visible.messages = this.#messages;
    this.visible.bytes = bytes;
    this.#messages = 0;
    this.#bytes -= bytes;
    return true;
  }
}
