// What the tests of this room share: a partition's subscriptions with the log that their commands stand in, and the keyed
// store that follows.
import type {
  DeliveryCommand,
  DeliveryReply,
  FailedAttempt,
  SubscriptionUpdate,
} from "../../src/delivery/delivery-commands.ts";
import { encodeDeliveryCommand } from "../../src/delivery/delivery-encoder.ts";
import {
  type DeliveryContext,
  type DeliveryLimits,
  DeliveryState,
} from "../../src/delivery/delivery-state.ts";
import type { KeyedWrite } from "../../src/log/ports.ts";

export const ID = "6f1d2c8e-0000-4000-8000-00000000000a";

/** What travels: JSON. */
export function wire(command: DeliveryCommand): Record<string, unknown> {
  return JSON.parse(JSON.stringify({ v: 1, ...encodeDeliveryCommand(command) })) as Record<
    string,
    unknown
  >;
}

export function attempt(error = "broken", timeMs = 5000): FailedAttempt {
  return { timeMs, cause: "nack", error };
}

export function sorted(pairs: Iterable<readonly [string, Uint8Array]>): [string, string][] {
  return [...pairs]
    .map(([key, value]): [string, string] => [key, Buffer.from(value).toString("hex")])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

export class Book {
  readonly state: DeliveryState;
  readonly stored = new Map<string, Uint8Array>();
  endOffset = 0;
  logStartOffset = 0;
  /** Of the leader that appends. */
  term = 1;
  /** Keys of the last command's writes. */
  written: string[] = [];

  constructor(limits?: DeliveryLimits, endOffset = 10_000) {
    this.state = new DeliveryState(limits);
    this.endOffset = endOffset;
  }

  apply(command: DeliveryCommand): DeliveryReply {
    const writes: KeyedWrite[] = [];
    const reply = this.state.apply(wire(command), this.#context, writes);
    this.#store(writes);
    return reply;
  }

  attach(id: string = ID, startOffset = 0, version = 1): DeliveryReply {
    return this.apply({ type: "attach", id, version, startOffset, createdIndex: 7 });
  }

  deliver(update: Omit<SubscriptionUpdate, "id">, id: string = ID): DeliveryReply {
    return this.apply({ type: "deliver", updates: [{ id, ...update }] });
  }

  moveLogStart(offset: number): void {
    this.logStartOffset = offset;
    const writes: KeyedWrite[] = [];
    this.state.logStartMoved(this.#context, writes);
    this.#store(writes);
  }

  get #context(): DeliveryContext {
    const { endOffset: baseOffset, logStartOffset, term } = this;
    return { term, baseOffset, logStartOffset };
  }

  #store(writes: readonly KeyedWrite[]): void {
    this.written = writes.map(({ key }) => key);
    for (const write of writes) {
      if (write.type === "put") this.stored.set(write.key, write.value);
      else this.stored.delete(write.key);
    }
  }
}
