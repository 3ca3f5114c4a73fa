// The subscriptions of one partition: the share of the delivery room in the partition's replicated state. Pure; the same
// commands give the same state on every replica. Shaped like the partition room's StatePart; the broker puts it there.
import type { KeyedWrite } from "../log/ports.ts";
import type { Offset, Term } from "../model/positions.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import type {
  DeliveryCommand,
  DeliveryReply,
  RefusedItem,
  SubscriptionUpdate,
} from "./delivery-commands.ts";
import { DELIVERY_COMMAND_TYPES, decodeDeliveryCommand } from "./delivery-decoder.ts";
import { DELIVERY_KEY_PREFIX, SubscriptionState, type TableLimits } from "./subscription-state.ts";

/** Where a command stands in the partition's log. */
export interface DeliveryContext {
  /** Of the leader that appended it. */
  readonly term: Term;
  /** End of the log at the command: nothing at or above it was written before. */
  readonly baseOffset: Offset;
  /** First offset that is kept. */
  readonly logStartOffset: Offset;
}

export interface DeliveryLimits extends TableLimits {
  readonly perPartition?: number;
}

const DONE: DeliveryReply = { outcome: "done" };
const NO_OP: DeliveryReply = { outcome: "no-op" };
const NOT_ATTACHED: DeliveryReply = { outcome: "not-attached" };

export class DeliveryState {
  readonly commandTypes: ReadonlySet<string> = DELIVERY_COMMAND_TYPES;
  readonly keyPrefix: string = DELIVERY_KEY_PREFIX;
  readonly #subscriptions = new Map<string, SubscriptionState>();
  readonly #limits: DeliveryLimits;

  constructor(limits: DeliveryLimits = {}) {
    this.#limits = limits;
  }

  /** Attached ones. */
  get size(): number {
    return this.#subscriptions.size;
  }

  get(id: string): SubscriptionState | undefined {
    return this.#subscriptions.get(id);
  }

  all(): Iterable<SubscriptionState> {
    return this.#subscriptions.values();
  }

  /** Below it nobody needs a message; undefined: nothing is attached. */
  lowestCursor(): Offset | undefined {
    let lowest: Offset | undefined;
    for (const { cursor } of this.#subscriptions.values()) {
      if (lowest === undefined || cursor < lowest) lowest = cursor;
    }
    return lowest;
  }

  /** @throws FrameError "unknown-section" as apply() would, for a command that is about to be proposed */
  check(command: Readonly<Record<string, unknown>>): void {
    decodeDeliveryCommand(command);
  }

  /** @throws FrameError "unknown-section" for a form that is not known here */
  apply(
    command: Readonly<Record<string, unknown>>,
    context: DeliveryContext,
    writes: KeyedWrite[],
  ): DeliveryReply {
    const decoded = decodeDeliveryCommand(command);
    switch (decoded.type) {
      case "attach":
        return this.#attach(decoded, context, writes);
      case "detach": {
        const state = this.#subscriptions.get(decoded.id);
        if (state === undefined) return NOT_ATTACHED;
        this.#subscriptions.delete(decoded.id);
        state.takeDeletions(writes);
        return DONE;
      }
      case "seek": {
        const state = this.#subscriptions.get(decoded.id);
        if (state === undefined) return NOT_ATTACHED;
        const from = state.cursor;
        const to = clamped(decoded.offset, context);
        state.seek(to, context.term);
        state.takeWrites(writes);
        return { outcome: "done", from, to };
      }
      case "deliver":
        return this.#deliver(decoded.updates, context, writes);
    }
  }

  logStartMoved({ logStartOffset }: DeliveryContext, writes: KeyedWrite[]): void {
    for (const state of this.#subscriptions.values()) {
      state.dropBelow(logStartOffset);
      state.takeWrites(writes);
    }
  }

  restore(pairs: Iterable<readonly [string, Uint8Array]>): void {
    const byId = new Map<string, (readonly [string, Uint8Array])[]>();
    for (const pair of pairs) {
      const id = pair[0].slice(DELIVERY_KEY_PREFIX.length).split("/", 1)[0] ?? "";
      const known = byId.get(id);
      if (known === undefined) byId.set(id, [pair]);
      else known.push(pair);
    }
    this.#subscriptions.clear();
    for (const [id, own] of byId) {
      this.#subscriptions.set(id, SubscriptionState.restore(id, own, this.#limits));
    }
  }

  *pairs(): Generator<readonly [string, Uint8Array]> {
    for (const state of this.#subscriptions.values()) yield* state.pairs();
  }

  #attach(
    command: Extract<DeliveryCommand, { readonly type: "attach" }>,
    context: DeliveryContext,
    writes: KeyedWrite[],
  ): DeliveryReply {
    const { id, version, createdIndex } = command;
    const known = this.#subscriptions.get(id);
    if (known !== undefined) {
      if (!known.noteVersion(version)) return NO_OP;
      known.takeWrites(writes);
      return DONE;
    }
    const max = this.#limits.perPartition ?? SUBSCRIPTION_LIMITS.perPartition;
    if (this.#subscriptions.size >= max) return { outcome: "limit" };
    const startOffset = clamped(command.startOffset, context);
    const state = new SubscriptionState({ id, version, createdIndex, startOffset }, this.#limits);
    this.#subscriptions.set(id, state);
    state.takeWrites(writes);
    return DONE;
  }

  #deliver(
    updates: readonly SubscriptionUpdate[],
    { baseOffset }: DeliveryContext,
    writes: KeyedWrite[],
  ): DeliveryReply {
    const refused: RefusedItem[] = [];
    const notAttached: string[] = [];
    let hasChanged = false;
    for (const update of updates) {
      const state = this.#subscriptions.get(update.id);
      if (state === undefined) {
        notAttached.push(update.id);
        continue;
      }
      const outcome = state.update(update, baseOffset);
      hasChanged ||= outcome.hasChanged;
      refused.push(...outcome.refused);
      state.takeWrites(writes);
    }
    const outcome = refused.length > 0 ? "limit" : hasChanged ? "done" : "no-op";
    if (refused.length === 0 && notAttached.length === 0) return hasChanged ? DONE : NO_OP;
    return { outcome, refused, notAttached };
  }
}

/** Neither before what is kept nor behind what is written. */
function clamped(offset: Offset, { baseOffset, logStartOffset }: DeliveryContext): Offset {
  return Math.min(Math.max(offset, logStartOffset), Math.max(baseOffset, logStartOffset));
}
