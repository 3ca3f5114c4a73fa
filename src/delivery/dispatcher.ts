// Who gets which message of one subscription in one partition, on the partition's leader (docs/adr/0015). Pure: told of
// consumers, records, settlements, applied updates and time, it says what to hand out, what to read and what to replicate.
// The runner makes one when its partition is ready to lead, and drops it when the leadership ends: leases, credit and
// counters are gone then, what is settled or failed stands in the replicated state.
//
// A turn of the runner: pass on what came in; call takeUpdate() and propose what it gives; call takeOutput() and send
// it; call nextRead() and read; call again at wakeAtMs(). Any method may be called at any time, in any order, but not from
// inside another one.
import type { Offset } from "../model/positions.ts";
import type { SubscriptionDefinition } from "../model/subscription.ts";
import type { ReleaseUpdate, SubscriptionUpdate } from "./delivery-commands.ts";
import type {
  ConsumerInfo,
  ConsumerKey,
  DispatchProgress,
  Explanation,
  HeldDelivery,
  LoadedBatch,
  Output,
  ReadRequest,
  Resumed,
  Settlement,
  SettleOutcome,
} from "./dispatch-types.ts";
import type { SubscriptionState } from "./subscription-state.ts";

export interface DispatcherOptions {
  /** Replicated and applied; the dispatcher reads it and never changes it. */
  readonly state: SubscriptionState;
  readonly definition: SubscriptionDefinition;
  /** The same on all nodes, of no other partition: says whose the partition is in exclusive mode. */
  readonly partitionName: string;
  readonly logStartOffset: Offset;
  readonly highWatermark: Offset;
  /** When the leadership began to serve. */
  readonly nowMs: number;
}

/** @typeParam B what the runner knows a loaded batch by */
export abstract class Dispatcher<B> {
  protected constructor(options: DispatcherOptions) {
    void options;
  }

  // Consumers

  /** A push session is there. Nothing goes to it before it has credit; in ordered modes not before `resume` either. */
  abstract addConsumer(consumer: ConsumerKey, info: ConsumerInfo, nowMs: number): void;

  /**
   * What the consumer still works on, given to it by leaders that are gone; [] when nothing. Called once for each consumer. In
   * ordered modes a new leader waits for these calls.
   * @returns for each held delivery what became of it
   */
  abstract resume(
    consumer: ConsumerKey,
    held: readonly HeldDelivery[],
    nowMs: number,
  ): readonly Resumed[];

  /** Its credit (which the session raised itself) is above zero again. */
  abstract creditAdded(consumer: ConsumerKey): void;

  /** Nothing more goes to it; what it holds may be settled. */
  abstract drain(consumer: ConsumerKey): void;

  /**
   * The push session is over: what it began fails once, the rest goes out again.
   * @param random uniform in [0, 1), for the jitter of delays
   */
  abstract removeConsumer(consumer: ConsumerKey, nowMs: number, random: number): void;

  // Settlements

  /** @param random uniform in [0, 1), for the jitter of delays */
  abstract settle(
    consumer: ConsumerKey,
    settlement: Settlement,
    nowMs: number,
    random: number,
  ): SettleOutcome;

  /** Offsets whose settlement waits for its update to be applied: the runner stops reading streams at a limit. */
  abstract get settlingOffsets(): number;

  // What is replicated

  /**
   * What to propose now; undefined: nothing, or an update is under way. The runner proposes exactly this, again after a
   * refusal (e.g. OVERLOADED), until it was applied or the leadership ended.
   */
  abstract takeUpdate(nowMs: number): SubscriptionUpdate | undefined;

  /** The update that takeUpdate gave last was applied to the state. */
  abstract updateApplied(nowMs: number): void;

  /** A `seek` was applied: everything that is out is lost. An update under way is still told by updateApplied. */
  abstract seeked(nowMs: number): void;

  /** Lets a parked key or stopped partition go on, with the next update. @returns false: that offset parks nothing */
  abstract releaseParked(offset: Offset, action: ReleaseUpdate["action"]): boolean;

  /** The dead letter topic has this message (one of `state.failures.dead()`): settles it with the next update. */
  abstract deadMoved(offset: Offset): void;

  // The world

  /** Both only grow. */
  abstract logMoved(logStartOffset: Offset, highWatermark: Offset): void;

  /** Another version of the definition. The mode must be the same: for another one the runner makes a new dispatcher. */
  abstract configure(definition: SubscriptionDefinition, nowMs: number): void;

  // Reading

  /** What to read now; undefined: nothing. At most one read is under way: undefined until onRead or onReadFailed. */
  abstract nextRead(nowMs: number): ReadRequest | undefined;

  /**
   * The batches of the read, ascending; none when there is nothing any more or yet. They belong to the dispatcher until
   * they stand in `Output.released`.
   */
  abstract onRead(batches: readonly LoadedBatch<B>[], nowMs: number): void;

  /** The same may be asked for again at once. */
  abstract onReadFailed(): void;

  // Results

  /**
   * Looks at deadlines, hands out what can go out, and gives what happened since the last call.
   * @param random uniform in [0, 1), for the jitter of delays
   */
  abstract takeOutput(nowMs: number, random: number): Output<B>;

  /** When takeUpdate and takeOutput should be called although nothing came in; Infinity: never. */
  abstract wakeAtMs(): number;

  // Questions

  /**
   * @param key of the record, when the caller has read it: tells whether it waits or is parked although it was not read ahead
   */
  abstract explain(
    offset: Offset,
    nowMs: number,
    key?: { readonly value: Buffer | undefined },
  ): Explanation;

  abstract progress(): DispatchProgress;
}
