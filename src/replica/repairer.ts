// What a replica does about entries that its disk does not give back: finds out how much is damaged, hands a leadership over
// and stands for none (raft/damage.ts), fetches the entries from the other replicas and has the log put them in place. It
// goes on following meanwhile: which entries it holds, and the newest of them, are known as ever. Driven by failed reads,
// by the scrubber and, about once a second, by the replica.
import { type DamagedRange, type DamageError, type Pace, StorageError } from "../log/ports.ts";
import { isBrokerError } from "../model/errors.ts";
import { type NodeId, nodeOfReplica } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { GroupContext } from "./group-context.ts";
import type { FetchEntries } from "./ports.ts";
import { entriesOfOthers } from "./repair-source.ts";

const PASSING: ReadonlySet<StorageError["kind"]> = new Set(["corrupt", "full", "missing"]);

/** Between attempts; doubled after each that failed. */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;
/** A segment that was examined because of a failed read is not examined again within this time. */
const EXAMINE_AGAIN_MS = 10_000;
/** Proposals are refused while a leadership is being handed over: after a round of refusals it waits. */
const HAND_OVER_AGAIN_MS = 10_000;

export interface RepairParts {
  /** Undefined: there is no way to ask other nodes. */
  readonly fetch: FetchEntries | undefined;
  /** Nobody reads below it any more. */
  readonly logStart: () => LogIndex;
  readonly transfer: (to: NodeId) => Promise<void>;
}

export class Repairer {
  readonly #context: GroupContext;
  readonly #parts: RepairParts;
  readonly #examinedMs = new Map<LogIndex, number>();
  #damage: readonly DamagedRange[] = [];
  #isRepairing = false;
  #retryMs = RETRY_MS_MIN;
  #repairAtMs = 0;
  #handOvers = 0;
  #isHandingOver = false;
  #handOverAtMs = 0;

  constructor(context: GroupContext, parts: RepairParts) {
    this.#context = context;
    this.#parts = parts;
  }

  /** Entries that somebody may still ask for and that can not be read here. */
  get damagedEntries(): number {
    return this.#damage.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  }

  /** A read failed. Whether the disk or only the way from it is to blame, a look at the whole segment tells. */
  suspect(error: DamageError): void {
    const { clock, groupId, log, logger, metrics } = this.#context;
    const { isKnown, segment } = error;
    const nowMs = clock.monotonicMs();
    const againMs = (this.#examinedMs.get(segment) ?? Number.NEGATIVE_INFINITY) + EXAMINE_AGAIN_MS;
    if (isKnown || nowMs < againMs || this.#context.isLogReplaced()) return;
    this.#examinedMs.set(segment, nowMs);
    metrics.count("storage_errors_corrupt");
    this.#context.spawn("examine", async () => {
      const found = await log.examine(segment);
      if (!this.#context.isLive()) return;
      if (found.length === 0) logger.warn({ groupId, segment, error }, "a read failed once");
      this.refresh();
      // Whoever needed the entries tries again.
      this.#context.wake();
    });
  }

  /** For the scrubber: examines the segment that holds an entry. */
  async scrub(index: LogIndex, pace: Pace): Promise<void> {
    const { log } = this.#context;
    await log.examine(index, pace);
    if (this.#context.isLive()) this.refresh();
  }

  /** Takes over what the log knows of its damage by now. */
  refresh(): void {
    const { core, groupId, log, logger, metrics } = this.#context;
    const { damage } = log;
    if (damage.length === 0 && this.#damage.length === 0) return;
    const logStart = this.#parts.logStart();
    const relevant = damage.filter(({ last }) => last >= logStart);
    this.#forgetBelow(damage, logStart);
    const before = this.#damage;
    this.#damage = relevant;
    core.setDamaged(relevant.length > 0, {
      lastIndex: relevant.at(-1)?.last ?? 0,
      changes: log.membershipIndexes(core.status().appliedIndex + 1),
    });
    const isKnown = ({ first, last }: DamagedRange): boolean =>
      before.some((range) => range.first <= first && range.last >= last);
    for (const { first, last, detail } of relevant.filter((range) => !isKnown(range))) {
      metrics.count("damaged_ranges_found");
      logger.warn({ groupId, first, last, detail }, "entries are damaged on this disk");
    }
    if (before.length > 0 && relevant.length === 0) {
      logger.info({ groupId }, "no entry is damaged any more");
      this.#retryMs = RETRY_MS_MIN;
      this.#repairAtMs = 0;
      this.#handOverAtMs = 0;
    }
    this.#act();
    this.#context.wake();
  }

  /** About once a second. */
  tick(): void {
    if (this.#damage.length > 0 || this.#context.log.damage.length > 0) this.refresh();
  }

  #act(): void {
    if (this.#damage.length === 0 || this.#context.isLogReplaced()) return;
    this.#handOver();
    this.#repair();
  }

  /** What no reader may ask for is not repaired, the others may have dropped it; whoever lacks it gets an image instead. */
  #forgetBelow(damage: readonly DamagedRange[], logStart: LogIndex): void {
    const below = damage.findLast(({ last }) => last < logStart);
    if (below !== undefined) this.#context.core.compacted(below.last + 1);
  }

  #handOver(): void {
    const { clock, core, groupId, logger } = this.#context;
    if (core.role !== "leader" || this.#isHandingOver || clock.monotonicMs() < this.#handOverAtMs)
      return;
    const { progress } = core.status();
    const heirs = progress
      .filter(({ isLearner, isRecentlyActive }) => !isLearner && isRecentlyActive)
      .sort((left, right) => left.replicaId - right.replicaId);
    const heir = heirs[this.#handOvers % Math.max(1, heirs.length)];
    if (heir === undefined) return;
    this.#handOvers += 1;
    // One after the other; when all have refused, they may be damaged themselves.
    if (this.#handOvers % heirs.length === 0) {
      this.#handOverAtMs = clock.monotonicMs() + HAND_OVER_AGAIN_MS;
    }
    this.#isHandingOver = true;
    this.#context.spawn("hand-over-damaged", async () => {
      try {
        await this.#parts.transfer(nodeOfReplica(heir.replicaId));
      } catch (error) {
        if (!isBrokerError(error)) throw error;
        logger.info({ groupId, reason: error.reason }, "no replica took over from a damaged one");
      } finally {
        this.#isHandingOver = false;
      }
    });
  }

  #repair(): void {
    const { clock } = this.#context;
    const { fetch } = this.#parts;
    if (fetch === undefined || this.#isRepairing || clock.monotonicMs() < this.#repairAtMs) return;
    this.#isRepairing = true;
    this.#context.spawn("repair", async (signal) => {
      try {
        await this.#attempt(entriesOfOthers(this.#context, fetch, signal));
      } finally {
        this.#isRepairing = false;
      }
      if (this.#context.isLive()) this.refresh();
    });
  }

  async #attempt(source: ReturnType<typeof entriesOfOthers>): Promise<void> {
    const { clock, groupId, log, logger, metrics } = this.#context;
    const entries = this.damagedEntries;
    for (const { first } of this.#damage) {
      if (!this.#context.isLive() || this.#context.isLogReplaced()) return;
      try {
        await log.repair(first, source, { from: this.#parts.logStart() });
      } catch (error) {
        if (!isPassing(error) || !this.#context.isLive()) throw error;
        metrics.count("repairs_failed");
        logger.warn({ groupId, first, error }, "damaged entries could not be repaired yet");
        this.#repairAtMs = clock.monotonicMs() + this.#retryMs;
        this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
        // More of the segment may be damaged by now.
        const isDamage = error instanceof StorageError && error.kind === "corrupt";
        if (isDamage && !this.#context.isLogReplaced()) await log.examine(first);
      }
    }
    const left = log.damage.reduce((sum, range) => sum + range.last - range.first + 1, 0);
    if (left < entries) metrics.count("entries_repaired", entries - left);
  }
}

/** The others, or time, may help. A file that is not there was taken away by somebody: no reason for a node to stop. */
function isPassing(error: unknown): boolean {
  if (isBrokerError(error)) return true;
  return error instanceof StorageError && PASSING.has(error.kind);
}
