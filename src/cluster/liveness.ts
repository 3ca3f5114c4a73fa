// Which nodes are heard from. Soft state of every node, fed by the NodeStatus messages of its
// peers; never replicated. The metadata leader derives fencing from it (node-frontend.ts), every
// node derives fitness for leadership (leader-balancer.ts). Time comes in as an argument, monotonic
// ms.
import type { GroupId, NodeId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import { CLOCK_ERROR_MS_MAX, clockErrors } from "./clock-plan.ts";
import type { NodeRow } from "./node-table.ts";
import type { NodeStatusReport } from "./ports.ts";

/** Silence after which a node counts as gone, ms. Status comes every second. */
export const SESSION_MS = 6000;

interface Heard {
  readonly incarnation: number;
  readonly draining: boolean;
  readonly lastMs: number;
  /** Since when without a gap of a session. */
  readonly sinceMs: number;
  /** Its wall clock minus ours when it was heard last. */
  readonly clockOffsetMs: number;
  /** Groups whose replica there may have forgotten what it acknowledged. */
  readonly recoveringGroups: readonly number[];
  /** Groups whose replica there can not lead. */
  readonly blockedGroups: readonly number[];
}

/** Commands that the metadata leader should propose now. */
export interface FencingPlan {
  readonly fence: readonly NodeRow[];
  readonly unfence: readonly NodeRow[];
}

export class Liveness {
  readonly #self: NodeId;
  readonly #heard = new Map<NodeId, Heard>();
  /**
   * Registrations as the last plan saw them, and since when. A new one is a sign of life, although the node's status may
   * take a while to arrive. Undefined: no plan was made since the grace began, which covers all there are then.
   */
  #registered: Map<NodeId, { readonly index: LogIndex; readonly sinceMs: number }> | undefined;
  /**
   * Silence counts from here at the earliest: a new metadata leader gives everybody a whole
   * session.
   */
  #graceFromMs: number;

  constructor(self: NodeId, nowMs: number) {
    this.#self = self;
    this.#graceFromMs = nowMs;
  }

  /** This node began to lead the metadata group. */
  startGrace(nowMs: number): void {
    this.#graceFromMs = nowMs;
    this.#registered = undefined;
  }

  /**
   * A status arrived. One of an older incarnation is a straggler and says nothing.
   * @param clockOffsetMs the sender's wall clock minus ours, ms
   */
  heard(
    status: Pick<NodeStatusReport, "nodeId" | "incarnation" | "draining"> &
      Partial<Pick<NodeStatusReport, "recoveringGroups" | "blockedGroups">>,
    nowMs: number,
    clockOffsetMs = 0,
  ): void {
    const nodeId = status.nodeId as NodeId;
    const before = this.#heard.get(nodeId);
    if (before !== undefined && status.incarnation < before.incarnation) {
      if (nowMs - before.lastMs < SESSION_MS) return;
    }
    const isContinued =
      before !== undefined &&
      before.incarnation === status.incarnation &&
      nowMs - before.lastMs < SESSION_MS;
    this.#heard.set(nodeId, {
      incarnation: status.incarnation,
      draining: status.draining,
      lastMs: nowMs,
      sinceMs: isContinued ? before.sinceMs : nowMs,
      clockOffsetMs,
      recoveringGroups: status.recoveringGroups ?? [],
      blockedGroups: status.blockedGroups ?? [],
    });
  }

  /** Heard from within the last session. This node itself always is. */
  isAlive(nodeId: NodeId, nowMs: number): boolean {
    if (nodeId === this.#self) return true;
    const heard = this.#heard.get(nodeId);
    return heard !== undefined && nowMs - heard.lastMs < SESSION_MS;
  }

  isDraining(nodeId: NodeId): boolean {
    return this.#heard.get(nodeId)?.draining ?? false;
  }

  /** Did the node say that its replica of the group may have forgotten what it acknowledged? Of this node: false. */
  isRecovering(nodeId: NodeId, groupId: GroupId): boolean {
    return this.#heard.get(nodeId)?.recoveringGroups.includes(groupId) ?? false;
  }

  /** Did the node say that its replica of the group can not lead, because of damage? Of this node: false. */
  isBlocked(nodeId: NodeId, groupId: GroupId): boolean {
    return this.#heard.get(nodeId)?.blockedGroups.includes(groupId) ?? false;
  }

  /** Its wall clock is near the median of all that are heard of; of others we believe no age and give them no lead. */
  isClockTrusted(nodeId: NodeId, nowMs: number, errorMsMax: number = CLOCK_ERROR_MS_MAX): boolean {
    const offsets = new Map([[this.#self, 0]]);
    for (const [other, { clockOffsetMs }] of this.#heard) {
      if (this.isAlive(other, nowMs)) offsets.set(other, clockOffsetMs);
    }
    const errorMs = clockErrors(offsets).get(nodeId) ?? 0;
    return Math.abs(errorMs) <= errorMsMax;
  }

  /** Ms since the node is heard from without a gap; 0 when it is not. */
  aliveForMs(nodeId: NodeId, nowMs: number): number {
    const heard = this.#heard.get(nodeId);
    return heard === undefined || !this.isAlive(nodeId, nowMs) ? 0 : nowMs - heard.sinceMs;
  }

  /** Ms since the last word of a node; undefined: never heard. 0 for this node. */
  silentForMs(nodeId: NodeId, nowMs: number): number | undefined {
    if (nodeId === this.#self) return 0;
    const heard = this.#heard.get(nodeId);
    return heard === undefined ? undefined : nowMs - heard.lastMs;
  }

  /**
   * Which registered nodes to fence and to unfence. Unfencing asks for a word of the very
   * incarnation that is registered: a restarted node registers anew, which unfences it.
   */
  fencingPlan(nodes: Iterable<NodeRow>, nowMs: number): FencingPlan {
    const fence: NodeRow[] = [];
    const unfence: NodeRow[] = [];
    const before = this.#registered;
    this.#registered = new Map();
    for (const node of nodes) {
      const known = before?.get(node.nodeId);
      const isOld = before === undefined || known?.index === node.registeredIndex;
      const sinceMs = isOld ? (known?.sinceMs ?? this.#graceFromMs) : nowMs;
      this.#registered.set(node.nodeId, { index: node.registeredIndex, sinceMs });
      const heard = this.#heard.get(node.nodeId);
      const isRegistered = heard === undefined || heard.incarnation === node.incarnation;
      if (!node.fenced) {
        const isGraceOver = nowMs - sinceMs >= SESSION_MS;
        if (isGraceOver && !this.isAlive(node.nodeId, nowMs)) fence.push(node);
      } else if (this.isAlive(node.nodeId, nowMs) && isRegistered) unfence.push(node);
    }
    return { fence, unfence };
  }
}
