// Who leads which group, as far as this node knows. Leadership is not in the metadata log: local
// replicas and the status messages of peers feed this cache, clients and redirects are answered
// from it. Per group the term only grows.
import type { GroupId, NodeId } from "../model/ids.ts";
import type { Term } from "../model/positions.ts";
import type { NodeStatusReport } from "./ports.ts";

export interface KnownLeader {
  readonly groupId: GroupId;
  /** 0: none known in this term. */
  readonly nodeId: NodeId | 0;
  readonly term: Term;
  /** The node itself said that it serves the group; false: a follower here merely follows it. */
  readonly isReady: boolean;
}

export class LeaderCache {
  readonly #self: NodeId;
  readonly #isDeleted: (groupId: GroupId) => boolean;
  readonly #leaders = new Map<GroupId, KnownLeader>();
  /** Groups that a node claimed in its newest status. */
  readonly #claims = new Map<NodeId, ReadonlySet<GroupId>>();
  readonly #listeners = new Set<() => void>();

  /** @param isDeleted of such groups nothing is kept: replicas that are still being closed speak of them */
  constructor(self: NodeId, isDeleted: (groupId: GroupId) => boolean = () => false) {
    this.#self = self;
    this.#isDeleted = isDeleted;
  }

  /** The newest knowledge; undefined when the group was never heard of. */
  get(groupId: GroupId): KnownLeader | undefined {
    return this.#leaders.get(groupId);
  }

  /** True when the node that leads the group said that it is ready. */
  hasReadyLeader(groupId: GroupId): boolean {
    const leader = this.#leaders.get(groupId);
    return leader?.isReady === true && leader.nodeId !== 0;
  }

  /** Called after every change; listeners only note it and wake somebody up. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * What a replica on this node sees: its leader (0: none) in its term, and whether that is this
   * node, ready.
   */
  observeLocal(groupId: GroupId, nodeId: NodeId | 0, term: Term, isReady: boolean): void {
    if (this.#put({ groupId, nodeId, term, isReady: isReady && nodeId === this.#self })) {
      this.#tell();
    }
  }

  /** What a peer says it leads; what it claimed before and claims no more, it no longer serves. */
  observeStatus(status: NodeStatusReport): void {
    const nodeId = status.nodeId as NodeId;
    if (nodeId === this.#self) return;
    const claimed = new Set<GroupId>();
    let hasChanged = false;
    for (const [place, group] of status.ledGroups.entries()) {
      const groupId = group as GroupId;
      claimed.add(groupId);
      const term = status.ledTerms[place] ?? 0;
      if (this.#put({ groupId, nodeId, term, isReady: true })) hasChanged = true;
    }
    for (const groupId of this.#claims.get(nodeId) ?? []) {
      if (!claimed.has(groupId) && this.#withdraw(groupId, nodeId)) hasChanged = true;
    }
    this.#claims.set(nodeId, claimed);
    if (hasChanged) this.#tell();
  }

  /** Topics were deleted. @param groups among which theirs are; all, when left out */
  forgetDeleted(groups: Iterable<GroupId> = this.#leaders.keys()): void {
    for (const groupId of groups) {
      if (this.#isDeleted(groupId)) this.#leaders.delete(groupId);
    }
  }

  /**
   * Takes news of a newer term, or more about the same one. Within a term a known leader is never
   * unlearned here.
   */
  #put(news: KnownLeader): boolean {
    const known = this.#leaders.get(news.groupId);
    if (known !== undefined) {
      if (news.term < known.term) return false;
      const isSameTerm = news.term === known.term;
      // This node knows best whether it leads itself: it may take its own claim back.
      const isOwnClaim = known.nodeId === this.#self && known.isReady;
      if (isSameTerm && !isOwnClaim) {
        if (news.nodeId === 0) return false;
        if (known.isReady && !news.isReady) return false;
      }
      const isEqual = isSameTerm && news.nodeId === known.nodeId && news.isReady === known.isReady;
      if (isEqual) return false;
    }
    if (this.#isDeleted(news.groupId)) return false;
    this.#leaders.set(news.groupId, news);
    return true;
  }

  #withdraw(groupId: GroupId, nodeId: NodeId): boolean {
    const known = this.#leaders.get(groupId);
    if (known === undefined || known.nodeId !== nodeId || !known.isReady) return false;
    this.#leaders.set(groupId, { ...known, nodeId: 0, isReady: false });
    return true;
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
