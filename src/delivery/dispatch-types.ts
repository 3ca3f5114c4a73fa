// What goes into a dispatcher and comes out of it. The runner (delivery-runner) builds on these, the dispatcher's parts share
// them. Offsets are those of one partition; times are ms since 1970; ranges are half-open, ascending and apart.
import type { Offset, Term } from "../model/positions.ts";
import type { SubscriptionDefinition } from "../model/subscription.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { SubscriptionState } from "./subscription-state.ts";

/** Names a push session towards a dispatcher: given by the runner, never used again within a leadership. */
export type ConsumerKey = number;

/** What a dispatcher is made for. */
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
  /** Of the newest delivery of a dispatcher before, in the same leadership: numbers go on above it. */
  readonly lastNumber?: number;
}

/**
 * What a push session may still be sent. One object per session, shared by the dispatchers of all partitions that it gets
 * messages from: each takes from it when it hands out. The session adds, and then calls `creditAdded` of its dispatchers.
 */
export interface Credit {
  messages: number;
  /** The last delivery may exceed it: not above zero means none. */
  bytes: number;
}

export interface ConsumerInfo {
  /** Chosen by the consumer; decides whose a partition is in exclusive mode. */
  readonly id: string;
  /** It says what it begins with: what it did not begin does not fail when it is lost. */
  readonly reportsBegun: boolean;
  readonly credit: Credit;
}

/** Messages that a consumer got from a leader that is gone, and still works on. */
export interface HeldDelivery {
  /** Of the leader that gave it; 0 only where there are no ranges. */
  readonly leaderEpoch: Term;
  readonly ranges: readonly OffsetRange[];
}

/** A held delivery goes on under this number with these messages; those that it does not name are lost to the consumer. */
export interface Resumed {
  /** 0: nothing of it was adopted. */
  readonly number: number;
  readonly ranges: readonly OffsetRange[];
}

export type SettlementKind = "ack" | "nack" | "reject" | "release" | "extend" | "begun";

/** SettleRequest has this shape. */
export interface Settlement {
  /** Of the stream; confirmations name it. */
  readonly number: number;
  readonly deliveryNumber: number;
  readonly kind: SettlementKind;
  /** Empty: everything of the delivery. */
  readonly ranges: readonly OffsetRange[];
  /** ack: everything that the consumer holds of deliveries up to this one (in this one up to the last range). */
  readonly isCumulative: boolean;
  /** nack: 0: as the retry policy says. */
  readonly retryAtMs: number;
  readonly error: string;
}

/**
 * confirmed: in force now, answer at once (nothing had to be replicated). later: a confirmation follows in an output, when the
 * update that carries it is applied. stale: nothing was done, answer STALE_DELIVERY.
 */
export type SettleOutcome = "confirmed" | "later" | "stale";

/** One batch that was read for the dispatcher. */
export interface LoadedBatch<B> {
  /** What the runner knows it by; comes back in deliveries and, once it is not needed any more, in `Output.released`. */
  readonly handle: B;
  readonly baseOffset: Offset;
  /** Behind its last record. */
  readonly endOffset: Offset;
  /** As stored. Credit is taken in proportion to the records that go out. */
  readonly bytes: number;
  /** Records that the filter does not want; empty without a filter. */
  readonly unwanted: readonly OffsetRange[];
  /** Modes other than shared: by offset − baseOffset; may be views of the batch. Shared: undefined. */
  readonly keys: readonly (Buffer | undefined)[] | undefined;
}

/**
 * run: batches from the one that holds `from` on, about `bytesMax` but at least one. offsets: the batches that hold these
 * (ascending, at most 64), each once, about `bytesMax` but at least the first one.
 */
export type ReadRequest =
  | { readonly kind: "run"; readonly from: Offset; readonly bytesMax: number }
  | { readonly kind: "offsets"; readonly offsets: readonly Offset[]; readonly bytesMax: number };

/** A message that was out before. */
export interface RedeliveredMessage {
  readonly offset: Offset;
  /** Times handed out under this leader, this one included. */
  readonly handedOut: number;
  readonly failed: number;
}

export interface OutgoingDelivery<B> {
  readonly consumer: ConsumerKey;
  /** Grows within the leadership; the third part of the token. */
  readonly number: number;
  readonly batch: LoadedBatch<B>;
  readonly ranges: readonly OffsetRange[];
  /** The ranges are the whole batch: it may go out undecoded, without ranges. */
  readonly isWhole: boolean;
  /** What was taken from the consumer's credit for it, estimated: whoever sends it knows what it costs. */
  readonly cost: Credit;
  readonly redeliveries: readonly RedeliveredMessage[];
}

/** Messages that a consumer no longer holds and does not know it yet. */
export interface LostDelivery {
  readonly consumer: ConsumerKey;
  readonly number: number;
  readonly ranges: readonly OffsetRange[];
  readonly cause: "deadline" | "revoked" | "seek";
}

/** Settlements of one consumer that are in force now. */
export interface Confirmation {
  readonly consumer: ConsumerKey;
  /** `Settlement.number`, in no order. */
  readonly numbers: readonly number[];
}

/** Everything that happened since the last output, to be passed on in this order. */
export interface Output<B> {
  readonly lost: readonly LostDelivery[];
  readonly confirmed: readonly Confirmation[];
  readonly deliveries: readonly OutgoingDelivery<B>[];
  /** Batches that the dispatcher does not need any more: their memory is the runner's again, after `deliveries` were sent. */
  readonly released: readonly B[];
}

export interface UnreadBefore {
  readonly offset: Offset;
  /** Whose order it is; undefined: that of messages without a key. */
  readonly key: Buffer | undefined;
}

export type Fate =
  /**
   * It will be handed out as soon as a consumer has credit. `unread`: and nothing of its key comes before it, for which nobody has
   * looked yet from that offset on: there was no consumer, or the window does not reach so far.
   */
  | { readonly kind: "ready"; readonly unread?: UnreadBefore | undefined }
  | { readonly kind: "settled" }
  /** Acknowledged; that is being replicated and not confirmed yet. */
  | { readonly kind: "settling" }
  /** A consumer has it. */
  | { readonly kind: "leased"; readonly consumerId: string; readonly untilMs: number }
  | { readonly kind: "waiting"; readonly behindOffset: Offset; readonly key: Buffer | undefined }
  | { readonly kind: "parked"; readonly behindOffset: Offset; readonly key: Buffer | undefined }
  | { readonly kind: "delayed"; readonly untilMs: number }
  | { readonly kind: "dead" }
  /** The subscription is paused, or its partition stopped at `stoppedAt`. */
  | { readonly kind: "paused"; readonly untilMs: number; readonly stoppedAt: Offset | undefined }
  | { readonly kind: "absent" };

export interface Explanation {
  readonly fate: Fate;
  /** Times handed out under this leader. */
  readonly handedOut: number;
}

/** The part of PartitionProgress that the dispatcher knows. */
export interface DispatchProgress {
  readonly cursor: Offset;
  readonly unsettledMessages: number;
  readonly outstandingMessages: number;
  /** Failed, not dead and not parked: waiting for the next attempt, or out again. */
  readonly retryingMessages: number;
  readonly parkedKeys: number;
  readonly stoppedAt: Offset | undefined;
  readonly consumers: number;
  /** Id; "" in other modes than exclusive, and while there is none. */
  readonly activeConsumer: string;
  /** Settled by consumers, by the filter and as dead letters since this dispatcher began. */
  readonly acknowledgedMessages: number;
  readonly filteredMessages: number;
  readonly deadMessages: number;
}
