// Turns the replica room's events, which it names by plain words, into instruments of the registry. The composition
// root passes the result to the replica set; neither room knows the other.
import type { Cell, Instruments, Timing } from "./metrics.ts";

export interface ReplicaRecorder {
  count(name: string, by?: number): void;
  observe(name: string, value: number): void;
}

/** Names that are not known here are ignored: a missing metric must not stop a broker. A test keeps both lists equal. */
export function createReplicaRecorder(instruments: Instruments): ReplicaRecorder {
  const counters = new Map(Object.entries(counterCells(instruments)));
  const timings = new Map(Object.entries(histogramTimings(instruments)));
  return {
    count: (name, by = 1) => counters.get(name)?.add(by),
    observe: (name, value) => {
      // The room measures durations in milliseconds; the registry speaks seconds.
      timings.get(name)?.observe(name.endsWith("_ms") ? value / 1000 : value);
    },
  };
}

/** Exported for the test that compares the names with the replica room's table. */
export function counterCells(instruments: Instruments): Readonly<Record<string, Cell>> {
  return {
    elections_started: instruments.elections.with("started"),
    elections_won: instruments.elections.with("won"),
    leaderships_lost: instruments.elections.with("lost"),
    loop_stalls: instruments.stalls.with(),
    messages_dropped: instruments.messagesDropped.with(),
    appends_paused: instruments.appendsPaused.with(),
    entries_damaged: instruments.entriesDamaged.with(),
    truncated_entries: instruments.truncatedEntries.with(),
    state_rebuilds: instruments.stateRebuilds.with(),
    images_saved: instruments.imagesSaved.with(),
    images_sent: instruments.imagesSent.with(),
    images_installed: instruments.imagesInstalled.with(),
    flush_rounds: instruments.flushRounds.with(),
    storage_errors_io: instruments.storageErrors.with("io"),
    storage_errors_full: instruments.storageErrors.with("full"),
    storage_errors_corrupt: instruments.storageErrors.with("corrupt"),
    storage_errors_missing: instruments.storageErrors.with("missing"),
    storage_errors_locked: instruments.storageErrors.with("locked"),
    storage_errors_version: instruments.storageErrors.with("version"),
    recoveries_begun: instruments.recoveries.with("begun"),
    recoveries_finished: instruments.recoveries.with("finished"),
    damaged_ranges_found: instruments.damagedRanges.with(),
    entries_repaired: instruments.entriesRepaired.with(),
    repairs_failed: instruments.repairsFailed.with(),
    scrub_bytes: instruments.scrubBytes.with(),
    scrub_rounds: instruments.scrubRounds.with(),
    groups_failed: instruments.groupsFailed.with(),
  };
}

/** As {@link counterCells}. */
export function histogramTimings(instruments: Instruments): Readonly<Record<string, Timing>> {
  return {
    commit_ms: instruments.commitLatency.with(),
    flush_ms: instruments.flushLatency.with(),
    journal_flush_ms: instruments.journalFlushLatency.with(),
    flush_round_groups: instruments.flushGroups.with(),
    apply_batch_entries: instruments.applyBatch.with(),
  };
}
