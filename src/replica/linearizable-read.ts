// ReadIndex from the caller's side (thesis §6.4): a barrier is passed when the core has confirmed leadership for it and
// the state applied here covers the index that it named. Ids are given here, never by callers, so that a retry can not be
// answered with an older confirmation.
import { BrokerError } from "../model/errors.ts";
import type { LogIndex } from "../model/positions.ts";
import type { ReadState } from "../raft/ready.ts";
import type { GroupContext } from "./group-context.ts";

/** Barriers that wait, per group. Beyond: OVERLOADED. */
const READS_PENDING_MAX = 10_000;

interface PendingRead {
  /** Undefined until confirmed. */
  index: LogIndex | undefined;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class LinearizableReads {
  readonly #context: GroupContext;
  readonly #pending = new Map<number, PendingRead>();
  #lastId = 0;

  constructor(context: GroupContext) {
    this.#context = context;
  }

  begin(): Promise<void> {
    if (this.#pending.size >= READS_PENDING_MAX) {
      const fields = { limit: "readsPending" };
      return Promise.reject(new BrokerError("OVERLOADED", "too many reads wait", fields));
    }
    this.#lastId += 1;
    const readId = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(readId, { index: undefined, resolve, reject });
      this.#context.core.readIndex(readId);
      this.#context.wake();
    });
  }

  confirmed(reads: readonly ReadState[]): void {
    for (const { readId, index } of reads) {
      const read = this.#pending.get(readId);
      if (read !== undefined) read.index = index;
    }
  }

  /** @param error made per read by the caller: what a client should do next */
  failed(readIds: readonly number[], error: () => BrokerError): void {
    for (const readId of readIds) {
      const read = this.#pending.get(readId);
      this.#pending.delete(readId);
      read?.reject(error());
    }
  }

  /** Ids grow and confirmations come in order, but one read may wait for a later index than the next: all are looked at. */
  applied(appliedIndex: LogIndex): void {
    for (const [readId, read] of this.#pending) {
      if (read.index === undefined || read.index > appliedIndex) continue;
      this.#pending.delete(readId);
      read.resolve();
    }
  }

  failAll(error: () => BrokerError): void {
    this.failed([...this.#pending.keys()], error);
  }
}
