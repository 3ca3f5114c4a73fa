// What must hold of everything that is written to a disk: equal entries at equal positions, dense logs, no committed entry
// cut off, no vote changed, no log beginning dropped that no image covers. Called for each disk operation, through
// disk-view.ts.
import type { NodeId } from "../../../src/model/ids.ts";
import type { LogIndex } from "../../../src/model/positions.ts";
import type { ChangeChecks } from "./change-checks.ts";
import type { DiskEvents } from "./disk-view.ts";
import type { Findings } from "./findings.ts";
import type { HardStateView } from "./journal-view.ts";
import type { Entry, LogView } from "./log-view.ts";

/** What is known of the process whose disk it is; undefined while it is down or the group is still being opened. */
export type LiveReplica = { readonly isLeader: boolean } | undefined;

export class DiskChecks implements DiskEvents {
  readonly #findings: Findings;
  readonly #live: (log: LogView) => LiveReplica;
  readonly #changes: ChangeChecks;
  readonly #hardStates = new Map<string, HardStateView>();
  /** What the present event has written so far: a write that the full disk broke off is taken back. */
  #written: { readonly event: number; readonly log: LogView; readonly from: LogIndex } | undefined;
  truncations = 0;

  constructor(findings: Findings, live: (log: LogView) => LiveReplica, changes: ChangeChecks) {
    this.#findings = findings;
    this.#changes = changes;
    this.#live = live;
  }

  /** I7 and I24. */
  onEntry(log: LogView, entry: Entry): void {
    const { baseOffset, index, term } = entry;
    const event = this.#findings.eventCount();
    if (this.#written?.event !== event || this.#written.log !== log) {
      this.#written = { event, log, from: index };
    }
    const problem = this.#findings.book(log.groupId).learn(entry);
    if (problem !== undefined) {
      this.#report(log, `log matching: ${problem} at index ${index} of term ${term}`);
    }
    if (entry.isMembership) this.#changes.written(log, entry);
    const before = log.entry(index - 1);
    const segment = log.segments.at(-1);
    const expected = (segment?.firstIndex ?? 1) + (segment?.entries.length ?? 1) - 1;
    if (index !== expected) this.#report(log, `gap: index ${index}, expected ${expected}`);
    if (before === undefined) return;
    if (before.baseOffset + before.recordCount !== baseOffset) {
      this.#report(log, `offsets: index ${index} begins at ${baseOffset}`);
    }
    if (before.term > term) this.#report(log, `term falls at index ${index} to ${term}`);
  }

  /** I8 and I12. What a recovery cuts off is torn, and was promised to nobody. */
  onCut(log: LogView, entries: readonly Entry[]): void {
    const live = this.#live(log);
    const [first] = entries;
    if (live === undefined || first === undefined || this.#isTakenBack(log, first)) return;
    this.truncations += 1;
    if (live.isLeader) this.#report(log, `a leader cuts its log at index ${first.index}`);
    // Commit and applied indexes say nothing here: what they count may be on its way to the disk, behind this very cut.
    const book = this.#findings.book(log.groupId);
    const lost = entries.find(({ hash, index }) => book.committed(index)?.hash === hash);
    if (lost !== undefined) this.#report(log, `committed index ${lost.index} was truncated`);
  }

  #isTakenBack(log: LogView, first: Entry): boolean {
    const written = this.#written;
    if (written === undefined || written.event !== this.#findings.eventCount()) return false;
    return written.log === log && first.index >= written.from;
  }

  /** I23. */
  onRestart(log: LogView): void {
    if (this.#live(log)?.isLeader === true) this.#report(log, "a leader installs an image");
  }

  /** I22 and P6: durable image first. */
  onDropped(log: LogView, lastIndex: LogIndex, imageIndex: LogIndex): void {
    if (this.#live(log) === undefined || lastIndex <= imageIndex) return;
    this.#report(log, `dropped up to index ${lastIndex}, the image ends at ${imageIndex}`);
  }

  onLost(log: LogView, entries: readonly Entry[]): void {
    this.#findings.lost(log, entries);
  }

  /** I2, across crashes too. */
  onHardState(node: NodeId, state: HardStateView): void {
    const name = `${state.groupId}-${state.replicaId}`;
    const before = this.#hardStates.get(name);
    if (before !== undefined && before.term > state.term) {
      const fell = `from ${before.term} to ${state.term}`;
      this.#findings.report(`durable term fell: group ${state.groupId} on n${node} ${fell}`);
    }
  }

  /** I3. */
  onHardStateDurable(node: NodeId, state: HardStateView): void {
    const { groupId, replicaId, term, vote } = state;
    this.#hardStates.set(`${groupId}-${replicaId}`, state);
    if (vote === 0) return;
    const { votes } = this.#findings.book(groupId);
    const key = `${replicaId}/${term}`;
    const before = votes.get(key);
    if (before === undefined) votes.set(key, vote);
    else if (before !== vote) {
      const change = `from ${before} to ${vote} in term ${term}`;
      this.#findings.report(`vote changed: group ${groupId} on n${node} ${change}`);
    }
  }

  #report(log: LogView, problem: string): void {
    this.#findings.report(`group ${log.groupId} on n${log.node}: ${problem}`);
  }
}
