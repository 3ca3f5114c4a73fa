// I21: members change one step at a time. An entry that names members follows another one in a log only when that one is
// committed by then (ADR 0011 rests on it); otherwise two changes are under way, and their majorities need not meet. Fed with
// what is written to the disks by disk-checks.ts, and looked at after the event: the leader commits the one and writes the
// next within one. Called by invariants.ts.
import type { Findings } from "./findings.ts";
import type { Entry, LogView } from "./log-view.ts";

interface Written {
  readonly log: LogView;
  readonly entry: Entry;
}

export class ChangeChecks {
  /** Changes that followed another one in the same log. */
  compared = 0;
  readonly #findings: Findings;
  #written: Written[] = [];

  constructor(findings: Findings) {
    this.#findings = findings;
  }

  /** An entry that names members was written. */
  written(log: LogView, entry: Entry): void {
    this.#written.push({ log, entry });
  }

  /** After the event. */
  check(): void {
    if (this.#written.length === 0) return;
    for (const one of this.#written) this.#look(one);
    this.#written = [];
  }

  #look({ entry, log }: Written): void {
    const { groupId, node } = log;
    const book = this.#findings.book(groupId);
    // A forced recovery writes two at once; what was committed before it is not known any more.
    if (book.isForgiven) return;
    const before = changeBelow(log, entry.index);
    if (before === undefined) return;
    this.compared += 1;
    if (book.committed(before.index)?.hash === before.hash) return;
    this.#findings.report(
      `two changes of members at once: group ${groupId} on n${node}: index ${entry.index} follows ${before.index}, which is not committed`,
    );
  }
}

/** The newest one that names members, below an index. */
function changeBelow(log: LogView, index: number): Entry | undefined {
  const first = log.segments[0]?.firstIndex ?? 1;
  for (let at = index - 1; at >= first; at -= 1) {
    const entry = log.entry(at);
    if (entry?.isMembership === true) return entry;
  }
  return undefined;
}
