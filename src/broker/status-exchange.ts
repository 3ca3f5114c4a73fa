// Soft state between nodes: once a second and soon after each change this node tells all others which groups it leads;
// what the others say feeds the leader cache and the liveness table.
import type { Cancel, Clock } from "../base/clock.ts";
import type { LeaderCache } from "../cluster/leader-cache.ts";
import type { Liveness } from "../cluster/liveness.ts";
import type { NodeId } from "../model/ids.ts";
import type { ReplicaSet } from "../replica/replica-set.ts";
import { NodeStatus } from "../rpc/generated/flotilla-internal-v1.ts";

const INTERVAL_MS = 1000;
/** How often local leaderships are compared with what was told last. */
const CHANGE_CHECK_MS = 50;

export interface StatusExchangeDeps {
  readonly nodeId: NodeId;
  readonly incarnation: number;
  readonly clock: Clock;
  readonly replicas: ReplicaSet;
  readonly leaders: LeaderCache;
  readonly liveness: Liveness;
  readonly broadcast: (status: NodeStatus) => void;
  readonly metadataIndex: () => number;
}

export class StatusExchange {
  readonly #deps: StatusExchangeDeps;
  #cancel: Cancel | undefined;
  #isDraining = false;
  #lastTold = "";
  #lastToldMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(deps: StatusExchangeDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#check();
  }

  /** Give this node no more leaderships: it is stopping. */
  drain(): void {
    this.#isDraining = true;
    this.#tell();
  }

  receive(from: NodeId, status: NodeStatus): void {
    // A node speaks for itself only.
    if (status.nodeId !== from) return;
    const { clock, liveness } = this.#deps;
    // The time on the wire is far below what a clock may be wrong by.
    liveness.heard(status, clock.monotonicMs(), status.wallClockMs - clock.wallMs());
    this.#deps.leaders.observeStatus(status);
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  #check(): void {
    if (this.#closed) return;
    const { clock, leaders, replicas } = this.#deps;
    const led: string[] = [];
    for (const replica of replicas.all()) {
      const { groupId, term, isLeaderReady, leaderNode } = replica;
      leaders.observeLocal(groupId, leaderNode, term, isLeaderReady);
      if (isLeaderReady) led.push(`${groupId}@${term}`);
    }
    const now = led.join();
    if (now !== this.#lastTold || clock.monotonicMs() - this.#lastToldMs >= INTERVAL_MS) {
      this.#lastTold = now;
      this.#tell();
    }
    this.#cancel = clock.schedule(CHANGE_CHECK_MS, () => this.#check());
  }

  #tell(): void {
    const { broadcast, clock, incarnation, metadataIndex, nodeId, replicas } = this.#deps;
    this.#lastToldMs = clock.monotonicMs();
    const led = replicas.all().filter((replica) => replica.isLeaderReady);
    const recovering = replicas.all().filter(({ record }) => record.recovering);
    const blocked = replicas
      .all()
      .filter((one) => one.damagedEntries > 0 && one.status().isBlocked);
    broadcast(
      NodeStatus.create({
        nodeId,
        incarnation,
        ledGroups: led.map((replica) => replica.groupId),
        ledTerms: led.map((replica) => replica.term),
        draining: this.#isDraining,
        wallClockMs: clock.wallMs(),
        metadataIndex: metadataIndex(),
        blockedGroups: blocked.map(({ groupId }) => groupId),
        recoveringGroups: recovering.map(({ groupId }) => groupId),
      }),
    );
  }
}
