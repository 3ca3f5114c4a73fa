// When groups that could not be opened are tried again: later after each failure, so that one whose data is damaged costs
// next to nothing. Pure; replica-reconciler.ts asks.
import type { GroupId, ReplicaId } from "../model/ids.ts";

/** Pause after a failure, ms: doubles from the first to the last value. A disk that works again is not left waiting for longer. */
export const OPEN_RETRY_MS = { first: 1000, last: 8000 } as const;

/** One replica that shall be opened. */
interface Wanted {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
}

interface Pause {
  readonly replicaId: ReplicaId;
  readonly lengthMs: number;
  readonly endMs: number;
}

export class OpenRetries {
  readonly #pauses = new Map<GroupId, Pause>();

  isDue({ groupId, replicaId }: Wanted, nowMs: number): boolean {
    const pause = this.#pauses.get(groupId);
    return pause?.replicaId !== replicaId || pause.endMs <= nowMs;
  }

  failed({ groupId, replicaId }: Wanted, nowMs: number): void {
    const before = this.#pauses.get(groupId);
    const doubled = before?.replicaId === replicaId ? 2 * before.lengthMs : OPEN_RETRY_MS.first;
    const lengthMs = Math.min(doubled, OPEN_RETRY_MS.last);
    this.#pauses.set(groupId, { replicaId, lengthMs, endMs: nowMs + lengthMs });
  }

  opened(groupId: GroupId): void {
    this.#pauses.delete(groupId);
  }

  /** Forgets all that need not be opened any more: their topic was deleted, or they were moved away. */
  keepOnly(wanted: Iterable<Wanted>): void {
    const ids = new Set<GroupId>();
    for (const { groupId } of wanted) ids.add(groupId);
    for (const groupId of [...this.#pauses.keys()]) {
      if (!ids.has(groupId)) this.#pauses.delete(groupId);
    }
  }

  /** When the first pause ends; undefined: there is none. */
  get nextMs(): number | undefined {
    let nextMs: number | undefined;
    for (const { endMs } of this.#pauses.values()) nextMs = Math.min(nextMs ?? endMs, endMs);
    return nextMs;
  }
}
