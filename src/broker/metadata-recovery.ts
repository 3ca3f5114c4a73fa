// `unsafe-recover metadata`: the metadata group lost its majority for good and goes on from one node's replica. Works on
// the data directory of a stopped broker, because there is no group that could decide anything; the lock of the directory
// keeps a running one away. The replica becomes the whole group under a new id (replica/succession.ts), and a command
// committed with it gives every node's metadata replica a new revision, far beyond those that the lost entries can have
// given. The command line calls it.
import { systemClock } from "../base/clock.ts";
import { systemRandom } from "../base/random.ts";
import {
  foundingMembership,
  readNodeFile,
  replaceMetadataRevision,
} from "../cluster/cluster-format.ts";
import { encodeMetadataCommand } from "../cluster/metadata-commands.ts";
import { recoveredRevision } from "../cluster/revisions.ts";
import { openHardStateJournal } from "../log/hard-state-journal.ts";
import { openImageStore } from "../log/image-store.ts";
import {
  type Disk,
  type GroupLog,
  type HardStateJournal,
  type KeyedStore,
  StorageError,
} from "../log/ports.ts";
import { openRealDisk } from "../log/real-disk.ts";
import {
  METADATA_GROUP,
  nodeOfReplica,
  type ReplicaId,
  replicaIdOf,
  revisionOfReplica,
} from "../model/ids.ts";
import type { Membership } from "../raft/messages.ts";
import { membershipOfFrame } from "../replica/frames.ts";
import { groupDirectory } from "../replica/group-directory.ts";
import { decodeImageRecord } from "../replica/group-records.ts";
import { MarkingDisk } from "../replica/marking-disk.ts";
import { noReplicaMetrics } from "../replica/replica-metrics.ts";
import { ReplicaSet } from "../replica/replica-set.ts";
import { requireSoundStorage } from "../replica/storage-failure.ts";
import { closeStores } from "./close-stores.ts";
import { bootId, openKeyedStore } from "./data-directory.ts";
import { openCopyOfLog, openMetadataLog } from "./metadata-log.ts";
import type { KnownVoters } from "./metadata-quorum.ts";

/** What the directory's replica of the metadata group holds. */
export interface MetadataReplicaView extends KnownVoters {
  readonly nodeId: number;
  readonly clusterId: string;
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** A recovery from here was interrupted: it can only be finished. */
  readonly isBegun: boolean;
}

interface Found extends MetadataReplicaView {
  /** Written by a recovery that was interrupted: the id to go on with. */
  readonly successor: ReplicaId | undefined;
}

export class MetadataRecovery {
  readonly #disk: Disk;
  readonly #keyed: KeyedStore;
  readonly #journal: HardStateJournal;
  readonly #found: Found;

  private constructor(disk: Disk, keyed: KeyedStore, journal: HardStateJournal, found: Found) {
    this.#disk = disk;
    this.#keyed = keyed;
    this.#journal = journal;
    this.#found = found;
  }

  /**
   * Takes the directory's lock and looks; the log is not touched.
   * @throws StorageError "locked" (its broker runs), "missing" (not formatted, or no metadata replica), "corrupt" (entries of
   * the metadata are damaged: another node's replica has to be taken)
   */
  static async open(dataDir: string): Promise<MetadataRecovery> {
    const files = openRealDisk(dataDir);
    readNodeFile(files);
    requireSoundStorage(files);
    const keyed = await openKeyedStore(files, dataDir);
    const disk = new MarkingDisk(files);
    try {
      const journal = await openHardStateJournal(disk, { bootId: bootId(), mustExist: true });
      return new MetadataRecovery(disk, keyed, journal, await look(disk, journal));
    } catch (error) {
      await keyed.close();
      throw error;
    }
  }

  get view(): MetadataReplicaView {
    return this.#found;
  }

  /** Makes the replica the whole group. Repeatable after a crash. @returns its new revision */
  async recover(): Promise<number> {
    const { lastIndex, nodeId, replicaId, successor } = this.#found;
    const node = nodeOfReplica(replicaId);
    const to = successor ?? replicaIdOf(node, recoveredRevision(lastIndex, replicaId));
    const revision = revisionOfReplica(to);
    const command = encodeMetadataCommand({ type: "recover-metadata", nodeId: node, revision });
    let failure: Error | undefined;
    const replicas = new ReplicaSet({
      nodeId: node,
      clock: systemClock,
      random: systemRandom,
      disk: this.#disk,
      keyed: this.#keyed,
      journal: this.#journal,
      images: openImageStore(this.#disk),
      transport: {
        send: () => undefined,
        sendImage: (_to, _transfer, done) => done(false),
        hasRoom: () => false,
      },
      logger: SILENT,
      metrics: noReplicaMetrics,
      openLog: (directory, record) => openMetadataLog(this.#disk, directory, record),
      onFatal: (error) => {
        failure = error;
      },
    });
    await replicas.succeedGroup({ groupId: METADATA_GROUP, from: replicaId, to, command });
    await replicas.close();
    if (failure !== undefined)
      throw new Error(`node ${nodeId}: storage failed`, { cause: failure });
    await replaceMetadataRevision(this.#disk, revision);
    return revision;
  }

  /** Gives the directory back, as clean or unclean as it was. */
  async close(): Promise<void> {
    const stores = { keyed: this.#keyed, journal: this.#journal };
    await closeStores(stores, { clean: this.#journal.wasClean });
  }
}

const SILENT = {
  debug: (): void => undefined,
  info: (): void => undefined,
  warn: (): void => undefined,
  error: (): void => undefined,
};

async function look(disk: Disk, journal: HardStateJournal): Promise<Found> {
  const nodeFile = readNodeFile(disk);
  const { clusterId, nodeId } = nodeFile;
  const record = journal.get(METADATA_GROUP);
  if (record === undefined || record.removed) {
    throw new StorageError("missing", "groups", `node ${nodeId} has no replica of the metadata`);
  }
  const { replicaId } = record;
  const directory = directoryOf(disk, replicaId);
  const log = await openCopyOfLog(disk, directory, record);
  try {
    const newest = await newestMembership(log);
    const membership: Membership =
      newest ?? (await imageMembership(disk)) ?? foundingMembership(nodeFile);
    const [only] = newest?.voters ?? [];
    const isDecree = newest?.voters.length === 1 && only !== undefined && only > replicaId;
    const { lastIndex, lastTerm } = log;
    const decreed = isDecree && nodeOfReplica(only) === nodeId ? only : undefined;
    // The last step is missing: the node file does not name the new replica yet.
    const isJournalled = revisionOfReplica(replicaId) > (nodeFile.metadataRevision ?? 0);
    const successor = decreed ?? (isJournalled ? replicaId : undefined);
    const isBegun = successor !== undefined;
    return { nodeId, clusterId, replicaId, lastIndex, lastTerm, membership, isBegun, successor };
  } finally {
    log.close();
  }
}

/** A recovery that was interrupted may have given the directory its new name already. */
function directoryOf(disk: Disk, replicaId: ReplicaId): string {
  const path = groupDirectory(METADATA_GROUP, replicaId);
  if (disk.exists(path)) return path;
  const prefix = `${METADATA_GROUP}-`;
  const renamed = disk.list("groups").find((name) => name.startsWith(prefix));
  if (renamed !== undefined) return `groups/${renamed}`;
  throw new StorageError("missing", path, "the log of the metadata replica is gone");
}

async function newestMembership(log: GroupLog): Promise<Membership | undefined> {
  const index = log.membershipIndexes(log.firstIndex).at(-1);
  if (index === undefined) return undefined;
  const [frame] = await log.read(index, index, 1);
  return frame === undefined ? undefined : membershipOfFrame(frame);
}

async function imageMembership(disk: Disk): Promise<Membership | undefined> {
  const image = await openImageStore(disk).load(METADATA_GROUP);
  return image === undefined ? undefined : decodeImageRecord(image.meta)?.applied.membership;
}
