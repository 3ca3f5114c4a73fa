// What was sent, what was acknowledged, and – at the end – what was read back. Pure bookkeeping: main.ts fills it in,
// the table at the end is computed here.
import type { FlightEvent } from "./flights.ts";

export interface Receipt {
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
}

export interface Kill {
  readonly atMs: number;
  readonly nodeId: number;
  /** Partitions that the killed broker led → its term there. */
  readonly affected: ReadonlyMap<number, number>;
  /** Sends to affected partitions that had begun and were not answered yet. */
  readonly underWay: number;
}

export interface ConsumedEvent {
  readonly key: string;
  readonly value: string;
  readonly partition: number;
  readonly offset: number;
}

export interface Verdict {
  readonly sent: number;
  readonly acknowledged: number;
  readonly failed: number;
  readonly consumed: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly outOfOrder: number;
  /** Read back with another key, value, partition or offset than was acknowledged. */
  readonly different: number;
  readonly underWay: number;
  /** Affected partitions on which a higher term acknowledged a send that began after the kill. */
  readonly takenOver: number;
  readonly affected: number;
  /** ms from the kill to the first such acknowledgement, and to the one of the slowest partition. */
  readonly failOverFirstMs: number | undefined;
  readonly failOverAllMs: number | undefined;
}

interface Sent {
  readonly begunMs: number;
  ackedMs: number | undefined;
  receipt: Receipt | undefined;
}

export class Ledger {
  readonly #events: readonly FlightEvent[];
  readonly #sent = new Map<number, Sent>();
  readonly #partitionOfKey = new Map<string, number>();
  readonly #pending = new Set<number>();
  #failed = 0;
  #acknowledged = 0;
  #kill: Kill | undefined;

  constructor(events: readonly FlightEvent[]) {
    this.#events = events;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  begun(event: FlightEvent, nowMs: number): void {
    this.#sent.set(event.id, { begunMs: nowMs, ackedMs: undefined, receipt: undefined });
    this.#pending.add(event.id);
  }

  acked(event: FlightEvent, receipt: Receipt, nowMs: number): void {
    const sent = this.#sent.get(event.id);
    if (sent === undefined) return;
    sent.ackedMs = nowMs;
    sent.receipt = receipt;
    this.#acknowledged += 1;
    this.#pending.delete(event.id);
    this.#partitionOfKey.set(event.key, receipt.partition);
  }

  failed(event: FlightEvent): void {
    this.#failed += 1;
    this.#pending.delete(event.id);
  }

  /** Sends that are under way to one of these partitions, as far as earlier receipts tell where a key goes. */
  underWay(partitions: ReadonlyMap<number, number>): number {
    let count = 0;
    for (const id of this.#pending) {
      const partition = this.#partitionOfKey.get(this.#events[id]?.key ?? "");
      if (partition !== undefined && partitions.has(partition)) count += 1;
    }
    return count;
  }

  killed(kill: Kill): void {
    this.#kill = kill;
  }

  verdict(consumed: readonly ConsumedEvent[]): Verdict {
    const seen = this.#compare(consumed);
    const failOver = this.#failOver();
    let lost = 0;
    for (const [id, sent] of this.#sent)
      if (sent.receipt !== undefined && !seen.ids.has(id)) lost += 1;
    return {
      sent: this.#sent.size,
      acknowledged: this.#acknowledged,
      failed: this.#failed,
      consumed: consumed.length,
      lost,
      duplicated: seen.duplicated,
      outOfOrder: seen.outOfOrder,
      different: seen.different,
      underWay: this.#kill?.underWay ?? 0,
      affected: this.#kill?.affected.size ?? 0,
      takenOver: failOver.length,
      failOverFirstMs: failOver.length === 0 ? undefined : Math.min(...failOver),
      failOverAllMs: failOver.length === 0 ? undefined : Math.max(...failOver),
    };
  }

  #compare(consumed: readonly ConsumedEvent[]): {
    readonly ids: ReadonlySet<number>;
    readonly duplicated: number;
    readonly outOfOrder: number;
    readonly different: number;
  } {
    const ids = new Set<number>();
    const lastOfKey = new Map<string, number>();
    let duplicated = 0;
    let outOfOrder = 0;
    let different = 0;
    for (const message of consumed) {
      const id = idOf(message.value);
      const event = id === undefined ? undefined : this.#events[id];
      if (event === undefined || !this.#matches(event, message)) different += 1;
      if (event === undefined) continue;
      if (ids.has(event.id)) duplicated += 1;
      else if (event.id < (lastOfKey.get(message.key) ?? -1)) outOfOrder += 1;
      ids.add(event.id);
      lastOfKey.set(message.key, Math.max(event.id, lastOfKey.get(message.key) ?? -1));
    }
    return { ids, duplicated, outOfOrder, different };
  }

  #matches(event: FlightEvent, message: ConsumedEvent): boolean {
    if (event.key !== message.key || event.value !== message.value) return false;
    const receipt = this.#sent.get(event.id)?.receipt;
    return (
      receipt === undefined ||
      (receipt.partition === message.partition && receipt.offset === message.offset)
    );
  }

  /** One duration per affected partition that a higher term took over. */
  #failOver(): number[] {
    const kill = this.#kill;
    if (kill === undefined) return [];
    const first = new Map<number, number>();
    for (const { ackedMs, begunMs, receipt } of this.#sent.values()) {
      if (receipt === undefined || ackedMs === undefined || begunMs < kill.atMs) continue;
      const oldTerm = kill.affected.get(receipt.partition);
      if (oldTerm === undefined || receipt.leaderEpoch <= oldTerm) continue;
      const took = ackedMs - kill.atMs;
      first.set(receipt.partition, Math.min(took, first.get(receipt.partition) ?? took));
    }
    return [...first.values()];
  }
}

/** What must hold for exit status 0. */
export function isProven(verdict: Verdict): boolean {
  const nothingWrong =
    verdict.lost === 0 &&
    verdict.duplicated === 0 &&
    verdict.outOfOrder === 0 &&
    verdict.different === 0;
  return (
    nothingWrong &&
    verdict.underWay > 0 &&
    verdict.affected > 0 &&
    verdict.takenOver === verdict.affected
  );
}

function idOf(value: string): number | undefined {
  try {
    const { id } = JSON.parse(value) as { readonly id?: unknown };
    return typeof id === "number" ? id : undefined;
  } catch {
    return undefined;
  }
}
