// Opens a group's stores, or makes them: journal record, log, keyed state, state machine – what a Replica starts from.
// Called by the replica set, one step per group at a time.
import type {
  Disk,
  GroupLog,
  HardStateJournal,
  HardStateRecord,
  ImageStore,
  KeyedStore,
} from "../log/ports.ts";
import { StorageError } from "../log/ports.ts";
import { BrokerError } from "../model/errors.ts";
import type { GroupId, ReplicaId, TopicId } from "../model/ids.ts";
import type { Membership } from "../raft/messages.ts";
import {
  createReplica,
  type DirectoryStores,
  findReplica,
  groupDirectory,
  quarantine,
} from "./group-directory.ts";
import { groupPrefix } from "./group-records.ts";
import type { JournalFlusher } from "./journal-flusher.ts";
import type { Logger, StateMachine } from "./ports.ts";
import type { ReplicaMetrics } from "./replica-metrics.ts";
import type { ReplicaStart } from "./replica-parts.ts";
import { recoverState } from "./state-recovery.ts";
import { type Succession, succeed } from "./succession.ts";

export interface GroupOptions {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  /** Journalled with a new replica; undefined: it is no topic's. */
  readonly topicId?: TopicId;
  /** Configuration at index 0; what the log or an image says later replaces it. Equal on all first members. */
  readonly initialMembership: Membership;
  readonly stateMachine: StateMachine;
  readonly flush: "sync" | "async";
  /** How soon followers apply what is committed: at once, or within a tick for less traffic. Default "at-once". */
  readonly commitNews?: "at-once" | "by-tick";
}

/** Opens (or makes) the log in an existing directory, recovered as the replica's journal record demands. */
export type OpenLog = (directory: string, record: HardStateRecord) => GroupLog | Promise<GroupLog>;

export interface OpenerDeps {
  readonly disk: Disk;
  readonly keyed: KeyedStore;
  readonly journal: HardStateJournal;
  readonly journalFlusher: JournalFlusher;
  readonly images: ImageStore;
  readonly logger: Logger;
  readonly metrics: ReplicaMetrics;
  readonly openLog: OpenLog;
}

export class GroupOpener {
  readonly #deps: OpenerDeps;
  readonly #stores: DirectoryStores;

  constructor(deps: OpenerDeps) {
    this.#deps = deps;
    const { disk, journal, journalFlusher: flusher, logger } = deps;
    this.#stores = { disk, journal, flusher, logger };
  }

  /** @throws BrokerError STALE_REPLICA | LOG_CORRUPT; StorageError of other kinds than "corrupt" */
  async open(options: GroupOptions): Promise<ReplicaStart> {
    const record = await this.#prepare(options);
    const log = await this.#openLog(record);
    try {
      return await this.#recover(options, log, record);
    } catch (error) {
      log.close();
      throw error;
    }
  }

  /** Ends a replica for good: journalled as removed first, then its log goes to the trash. Repeatable. */
  async discard(record: HardStateRecord): Promise<void> {
    const { groupId, replicaId } = record;
    const { images, journalFlusher, keyed } = this.#deps;
    if (!record.removed) await journalFlusher.saveDurably({ ...record, removed: true });
    await quarantine(this.#stores, groupId, replicaId);
    await keyed.removeRange(groupPrefix(groupId, replicaId));
    await images.remove(groupId);
  }

  /** A surviving replica becomes the whole group under a new id. @throws BrokerError STALE_REPLICA | LOG_CORRUPT */
  succeed(succession: Succession): Promise<void> {
    const { keyed, openLog } = this.#deps;
    return succeed({ ...this.#stores, keyed, openLog }, succession);
  }

  /** Finishes removals that a crash interrupted. */
  async finishRemovals(): Promise<void> {
    for (const record of this.#deps.journal.all()) {
      const { groupId, replicaId } = record;
      const isLeft = this.#deps.disk.exists(groupDirectory(groupId, replicaId));
      if (record.removed && isLeft) await this.discard(record);
    }
  }

  /** The journal's record: found, made for a new replica, or marked lazy before anything unflushed is acknowledged. */
  async #prepare({ flush, groupId, replicaId, topicId }: GroupOptions): Promise<HardStateRecord> {
    const isLazy = flush === "async";
    const found = findReplica(this.#stores, groupId, replicaId);
    if (found === undefined) {
      const older = this.#deps.journal.get(groupId);
      if (older !== undefined) await this.discard(older);
      return createReplica(this.#stores, { groupId, replicaId, topicId, isLazy });
    }
    if (!isLazy || found.lazy) return found;
    const record = { ...found, lazy: true };
    await this.#deps.journalFlusher.saveDurably(record);
    return record;
  }

  async #openLog(record: HardStateRecord): Promise<GroupLog> {
    const { groupId, replicaId } = record;
    try {
      return await this.#deps.openLog(groupDirectory(groupId, replicaId), record);
    } catch (cause) {
      if (!(cause instanceof StorageError) || cause.kind !== "corrupt") throw cause;
      const fields = { groupId, replicaId };
      throw new BrokerError("LOG_CORRUPT", "the replica's log is damaged", fields, { cause });
    }
  }

  async #recover(
    options: GroupOptions,
    log: GroupLog,
    record: HardStateRecord,
  ): Promise<ReplicaStart> {
    const { groupId, replicaId, stateMachine } = options;
    const { images, keyed, logger, metrics } = this.#deps;
    const prefix = groupPrefix(groupId, replicaId);
    let current = record;
    const beforeReset = async (): Promise<void> => {
      current = { ...current, durableCommitIndex: 0 };
      await this.#deps.journalFlusher.saveDurably(current);
    };
    const stores = { groupId, log, keyed, prefix, images, beforeReset };
    const state = await recoverState(stores, stateMachine, options.initialMembership);
    // What the page cache kept through a crash of the process is about to count as flushed.
    await log.sync();
    const recovered = { ...current, unrecovered: false };
    if (current.unrecovered) await this.#deps.journalFlusher.saveDurably(recovered);
    if (state.isRebuilt) {
      metrics.count("state_rebuilds");
      logger.warn({ groupId, index: state.applied.index }, "keyed state rebuilt from its image");
    }
    return { log, record: recovered, state, stateMachine };
  }
}
