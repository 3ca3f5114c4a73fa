// What differs between the modes: what goes out next, and what becomes of a message that comes back, failed or is done with.
// Implemented by shared-mode, keyed-mode and exclusive-mode, driven by the dispatcher.
import type { Offset } from "../model/positions.ts";
import type { Consumer } from "./consumer-table.ts";
import type { OffsetRange, ReleaseUpdate } from "./delivery-commands.ts";
import type { LoadedBatch } from "./dispatch-types.ts";
import type { Grant } from "./held-batch.ts";
import type { RetryOffers } from "./retry-offers.ts";

export interface ModeRules<B> {
  /** Where to read on; undefined: enough was read. Below the high watermark is the caller's concern. */
  readFrom(): Offset | undefined;
  /** A run was read from `from`, in order. */
  accept(from: Offset, batches: readonly LoadedBatch<B>[]): void;
  /** Grows when the answer to a read that is under way is of no use any more. */
  readonly readEpoch: number;
  /** undefined: what failed is read again in order, like everything else. */
  readonly retries: RetryOffers<B> | undefined;

  /** Whose turn it is. */
  turn(): Consumer | undefined;
  /** What goes to that consumer now. */
  offer(consumer: Consumer): Grant<B> | undefined;
  /** When something that can not go out now could; Infinity: it does not depend on time. */
  wakeAtMs(): number;

  /** Busy ones came back without penalty: they are to go out again. */
  returned(from: Offset, to: Offset): void;
  /** It failed; the failure is to be replicated. */
  failing(offset: Offset): void;
  /** Its failure is applied: it is to go out again at that time. */
  failed(offset: Offset, notBeforeMs: number): void;
  /** Settled and applied, not busy any more. */
  settled(from: Offset, to: Offset): void;
  /** So many of them were acknowledged; told before they are settled. */
  acknowledged(messages: number): void;
  dead(offset: Offset): void;
  parked(offset: Offset, scope: "key" | "partition"): void;
  /** What it parked goes on; it was retried, killed or settled with that. */
  released(offset: Offset, action: ReleaseUpdate["action"]): void;

  /** Which of these committed messages a consumer may go on with; they are busy then. */
  adopt(consumer: Consumer, ranges: readonly OffsetRange[]): OffsetRange[];
  /** The key of a message that is out; undefined: nobody has looked. */
  keyOf(offset: Offset): KnownKey | undefined;
  /** What this message waits for, as far as it is known. */
  behind(offset: Offset, key: KnownKey | undefined): Behind | undefined;
  /** From where on, before this message, nobody has looked whether something comes before it in order; undefined: nowhere. */
  unreadBefore(offset: Offset, key: KnownKey | undefined): Offset | undefined;

  /** Everything that was read is to be read again: the filter is another one, or the cursor elsewhere. */
  dropReadAhead(): void;
  /** Everything that is known about messages that are out or waiting is void. */
  reset(): void;
}

/** A key that was looked at. */
export interface KnownKey {
  readonly value: Buffer | undefined;
}

export interface Behind {
  readonly offset: Offset;
  readonly key: Buffer | undefined;
}

/** About how much is asked for at once, and kept unread at least when somebody waits. */
export const READ_BYTES = 1024 * 1024;
