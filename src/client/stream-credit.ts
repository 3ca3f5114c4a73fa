// How much one stream may still be sent. What the consumer takes is granted anew in larger pieces, so that a grant is
// rarely a request of its own.

export interface Credit {
  readonly messages: number;
  readonly bytes: number;
}

export class StreamCredit {
  #share: Credit = { messages: 0, bytes: 0 };
  #owedMessages = 0;
  #owedBytes = 0;

  /** What the broker has when nothing waits here. A smaller share than before takes effect as messages are taken. */
  setShare(share: Credit): void {
    this.#owedMessages += share.messages - this.#share.messages;
    this.#owedBytes += share.bytes - this.#share.bytes;
    this.#share = share;
  }

  taken(messages: number, bytes: number): void {
    this.#owedMessages += messages;
    this.#owedBytes += bytes;
  }

  /** Enough is owed for a request of its own. */
  get isDue(): boolean {
    return this.#isDue(4);
  }

  /** What to grant with a request that is sent in any case. */
  take(): Credit | undefined {
    if (!this.#isDue(16)) return undefined;
    const messages = Math.max(0, this.#owedMessages);
    const bytes = Math.max(0, this.#owedBytes);
    this.#owedMessages -= messages;
    this.#owedBytes -= bytes;
    return { messages, bytes };
  }

  #isDue(divisor: number): boolean {
    const { bytes, messages } = this.#share;
    return (
      (this.#owedMessages > 0 && this.#owedMessages >= messages / divisor) ||
      (this.#owedBytes > 0 && this.#owedBytes >= bytes / divisor)
    );
  }
}
