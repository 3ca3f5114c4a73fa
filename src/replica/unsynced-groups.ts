// Groups whose logs may hold what is in the page cache only, although the node ends in good order: those of an earlier run
// that was killed, as long as they were not opened (and so synced) again, and those of replicas that stopped by themselves.
// The journal is about to say that the run ended cleanly, after which a loss of power is taken for harmless; so these get
// their mark now, whether power will be lost or not (ADR 0012).
import type { HardStateJournal } from "../log/ports.ts";
import type { GroupId } from "../model/ids.ts";

export class UnsyncedGroups {
  readonly #journal: HardStateJournal;
  readonly #groups = new Set<GroupId>();

  constructor(journal: HardStateJournal) {
    this.#journal = journal;
    if (journal.wasClean) return;
    for (const { groupId } of journal.all()) this.#groups.add(groupId);
  }

  add(groupId: GroupId): void {
    this.#groups.add(groupId);
  }

  synced(groupId: GroupId): void {
    this.#groups.delete(groupId);
  }

  /** Before the journal is closed, which makes it durable. */
  mark(): void {
    for (const groupId of this.#groups) {
      const record = this.#journal.get(groupId);
      const isAtRisk = record?.lazy === true && !record.removed;
      if (isAtRisk && !record.recovering) this.#journal.save({ ...record, recovering: true });
    }
  }
}
