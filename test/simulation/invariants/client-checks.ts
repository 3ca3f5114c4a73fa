// What must hold of every answer that reaches a client, compared with what the brokers' disks hold at that moment: no
// acknowledgement before the commit (and the flush) that it stands for, nothing read that is not committed. Called by
// invariants.ts.
import type { GroupId } from "../../../src/model/ids.ts";
import type { Offset, Term } from "../../../src/model/positions.ts";
import type { Findings } from "./findings.ts";
import type { Entry } from "./log-view.ts";

export class ClientChecks {
  readonly #findings: Findings;

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** I30, and "no ack before flush" at the client: a send that waited for all replicas. */
  acked(groupId: GroupId, offset: Offset, epoch: Term, isSync: boolean): void {
    const entry = this.#committedAt(groupId, offset, epoch, "acknowledged");
    if (entry === undefined || !isSync) return;
    const { index, term } = entry;
    const { memberships } = this.#findings.book(groupId);
    // The members may have changed since it was committed.
    const isOnMajority = memberships.some((members) => {
      return this.#findings.majorityHolds(groupId, members, index, term, true);
    });
    if (isOnMajority || memberships.length === 0) return;
    const voters = memberships.map((members) => members.voters.join(" ")).join(", before ");
    this.#findings.report(
      `acknowledged before flush: group ${groupId} offset ${offset} is not on a majority of the disks of ${voters}`,
    );
  }

  /** The committed half of I26. */
  read(groupId: GroupId, offset: Offset, epoch: Term): void {
    this.#committedAt(groupId, offset, epoch, "read");
  }

  /**
   * I29: a reader is given the record behind one that it read in an epoch, and was not told that this one is gone: then it
   * has to be the committed one, as far as that is known.
   */
  readOn(groupId: GroupId, offset: Offset, epoch: Term): void {
    const entry = this.#findings.book(groupId).holderOf(offset);
    if (entry === undefined || entry.term === epoch) return;
    this.#findings.report(
      `not told: group ${groupId} offset ${offset} was read in epoch ${epoch}, is of term ${entry.term}, and the reader goes on`,
    );
  }

  #committedAt(groupId: GroupId, offset: Offset, epoch: Term, verb: string): Entry | undefined {
    const book = this.#findings.book(groupId);
    const entry = book.holderOf(offset);
    if (entry?.term === epoch || book.isForgiven) return entry;
    const found = entry === undefined ? "it is not committed" : `that holds term ${entry.term}`;
    this.#findings.report(
      `${verb}: group ${groupId} offset ${offset} epoch ${epoch}, but ${found}`,
    );
    return undefined;
  }
}
