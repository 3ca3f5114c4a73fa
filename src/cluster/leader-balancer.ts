// Gives leaderships back to their preferred replicas, a few at a time. Runs on every node for the
// groups that it leads; the broker starts it after registration and tells it when the node begins
// to drain.
import type { Clock } from "../base/clock.ts";
import type { GroupId, NodeId } from "../model/ids.ts";
import { CLOCK_ERROR_MS_FIT } from "./clock-plan.ts";
import { type NodeFitness, planLeaderTransfers } from "./leader-balance-plan.ts";
import type { Liveness } from "./liveness.ts";
import type { MetadataView } from "./metadata-image.ts";
import type { LedGroups, Logger } from "./ports.ts";

export interface LeaderBalancerSettings {
  /** Between rounds, ms. */
  readonly intervalMs: number;
  /** A node must have been heard from for so long before it gets leaderships, ms. */
  readonly aliveForMsMin: number;
  /** Transfers started per round. */
  readonly transfersMax: number;
  /** A group whose transfer failed is left alone for so long, ms. */
  readonly retryAfterMs: number;
}

export const LEADER_BALANCER_DEFAULTS: LeaderBalancerSettings = {
  intervalMs: 1000,
  aliveForMsMin: 5000,
  transfersMax: 4,
  retryAfterMs: 10_000,
};

export interface LeaderBalancerOptions {
  readonly nodeId: NodeId;
  readonly groups: LedGroups;
  readonly view: MetadataView;
  readonly liveness: Liveness;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: LeaderBalancerSettings;
}

export class LeaderBalancer {
  readonly #options: LeaderBalancerOptions;
  readonly #notBeforeMs = new Map<GroupId, number>();
  #cancel: (() => void) | undefined;
  #round: Promise<void> | undefined;
  #isDraining = false;
  #closed = false;

  constructor(options: LeaderBalancerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#schedule();
  }

  /** The node is stopping and hands everything over anyway: no more rounds. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Resolves when no transfer started here is under way any more. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#round;
  }

  #schedule(): void {
    if (this.#closed || this.#isDraining) return;
    this.#cancel = this.#options.clock.schedule(this.#options.settings.intervalMs, () => {
      this.#round = this.#runOnce().then(() => {
        this.#round = undefined;
        this.#schedule();
      });
    });
  }

  /** Never rejects. */
  async #runOnce(): Promise<void> {
    if (this.#isDraining) return;
    const { clock, groups, liveness, nodeId, settings } = this.#options;
    const nowMs = clock.monotonicMs();
    const led = groups.list();
    const ledNow = new Set(led.map((group) => group.groupId));
    for (const [groupId, notBeforeMs] of this.#notBeforeMs) {
      if (notBeforeMs <= nowMs || !ledNow.has(groupId)) this.#notBeforeMs.delete(groupId);
    }
    const transfers = planLeaderTransfers(
      led.filter((group) => !this.#notBeforeMs.has(group.groupId)),
      (other) => this.#fitness(other, nowMs),
      {
        self: nodeId,
        isSelfClockTrusted: liveness.isClockTrusted(nodeId, nowMs),
        ...settings,
      },
    );
    await Promise.all(transfers.map(({ groupId, to }) => this.#transfer(groupId, to)));
  }

  async #transfer(groupId: GroupId, to: NodeId): Promise<void> {
    const { clock, groups, log, settings } = this.#options;
    try {
      await groups.transfer(groupId, to);
      log.info({ groupId, to }, "leadership given back to its preferred node");
    } catch (error) {
      this.#notBeforeMs.set(groupId, clock.monotonicMs() + settings.retryAfterMs);
      log.warn({ groupId, to, err: error }, "leadership could not be given back");
    }
  }

  #fitness(nodeId: NodeId, nowMs: number): NodeFitness | undefined {
    const { liveness, view } = this.#options;
    const node = view.image.nodes.get(nodeId);
    if (node === undefined) return undefined;
    return {
      isAlive: liveness.isAlive(nodeId, nowMs),
      isFenced: node.fenced,
      isDraining: liveness.isDraining(nodeId),
      isClockTrusted: liveness.isClockTrusted(nodeId, nowMs, CLOCK_ERROR_MS_FIT),
      aliveForMs: liveness.aliveForMs(nodeId, nowMs),
    };
  }
}
