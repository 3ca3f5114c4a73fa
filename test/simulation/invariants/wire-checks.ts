// What must hold of every message that one broker hands to its transport for another: nothing is said that the sender's
// disk does not hold (raft.md §1.3). Called by invariants.ts.

import { decodeGroupMessage } from "../../../src/broker/peer/message-codec.ts";
import type { GroupId, NodeId, ReplicaId } from "../../../src/model/ids.ts";
import type { Term } from "../../../src/model/positions.ts";
import type { PeerEnvelope, RaftMessage } from "../../../src/rpc/generated/flotilla-internal-v1.ts";
import type { Findings } from "./findings.ts";

export class WireChecks {
  readonly #findings: Findings;
  /** Campaigns that nobody asked for, pre-votes included: what must stop when all is calm. */
  campaigns = 0;

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  check(node: NodeId, envelope: PeerEnvelope): void {
    for (const wire of envelope.raft) {
      if (wire.kind === "append-request") this.#requireTerm(node, wire);
      else this.#checkSmall(node, wire);
    }
  }

  #checkSmall(node: NodeId, wire: RaftMessage): void {
    const { groupId, message } = decodeGroupMessage(wire);
    switch (message.kind) {
      case "vote-request":
        if (!message.transfer) this.campaigns += 1;
        else this.#findings.book(groupId).handedOver.add(message.term);
        if (!message.pre)
          this.#requireVote(node, groupId, message.from, message.term, message.from);
        return;
      case "vote-response":
        if (message.granted && !message.pre) {
          const { from, recovering, term, to } = message;
          this.#requireVote(node, groupId, from, term, to);
          this.#findings.book(groupId).granted(from, to, term, recovering);
        }
        return;
      case "append-response":
        if (this.#requireTerm(node, wire) && message.ok) {
          this.#requireLog(node, wire, message.matchIndex, message.durableIndex);
        }
        return;
      case "heartbeat-response":
        if (this.#requireTerm(node, wire)) {
          this.#requireLog(node, wire, message.matchIndex, message.durableIndex);
        }
        return;
      case "heartbeat":
        this.#requireTerm(node, wire);
        return;
      default:
    }
  }

  /** I4. */
  #requireVote(
    node: NodeId,
    groupId: GroupId,
    voter: ReplicaId,
    term: Term,
    candidate: ReplicaId,
  ): void {
    const vote = this.#findings.book(groupId).votes.get(`${voter}/${term}`);
    if (vote === candidate) return;
    const what = `a vote in term ${term} of group ${groupId} for ${candidate}`;
    this.#findings.report(`told before durable: n${node} tells ${what}, its disk holds ${vote}`);
  }

  /**
   * P1 and P2.
   * @returns whether the message is of the sender's present term: older ones may have waited for a buffer
   */
  #requireTerm(node: NodeId, { from, groupId, kind, term }: RaftMessage): boolean {
    const disk = this.#findings.disks.get(node);
    const durable = disk?.hardState(groupId as GroupId, from as ReplicaId)?.term ?? 0;
    if (durable < term) {
      const what = `${kind} in term ${term} of group ${groupId}`;
      this.#findings.report(
        `told before durable: n${node} sends ${what}, its disk holds ${durable}`,
      );
    }
    return durable === term;
  }

  /** I5 and I6. */
  #requireLog(
    node: NodeId,
    { from, groupId }: RaftMessage,
    matchIndex: number,
    durableIndex: number,
  ): void {
    const log = this.#findings.log(groupId as GroupId, from as ReplicaId);
    if (log === undefined) return;
    if (matchIndex > log.lastIndex) {
      this.#findings.report(
        `false ack: n${node} acknowledges ${matchIndex} of group ${groupId}, it has ${log.lastIndex}`,
      );
    }
    const durable = log.durableIndex;
    if (durableIndex > durable) {
      this.#findings.report(
        `ack before flush: n${node} says ${durableIndex} of group ${groupId} is durable, it is ${durable}`,
      );
    }
  }
}
