// A cluster of replica sets on memory disks, a virtual clock and a virtual network, with a ledger machine per group: what
// the tests of the replica room drive. Nodes can be killed (page cache stays), lose power (only synced data stays, in the
// worst case nothing else), be stopped gracefully and be started again on what is left.
import { expect } from "vitest";
import { defined } from "../../src/base/assert.ts";
import { sleep } from "../../src/base/clock.ts";
import { type Random, seededRandom } from "../../src/base/random.ts";
import { FaultDisk } from "../../src/log/fault-disk.ts";
import { FaultStore } from "../../src/log/fault-store.ts";
import { openHardStateJournal } from "../../src/log/hard-state-journal.ts";
import { openImageStore } from "../../src/log/image-store.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { MemoryStore } from "../../src/log/memory-store.ts";
import type { Disk, GroupLog, HardStateJournal, HardStateRecord } from "../../src/log/ports.ts";
import { openGroupLog } from "../../src/log/segment-log.ts";
import type { Frame } from "../../src/model/entry-frame.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { type GroupId, type NodeId, type ReplicaId, replicaIdOf } from "../../src/model/ids.ts";
import type { LogIndex } from "../../src/model/positions.ts";
import { groupDirectory } from "../../src/replica/group-directory.ts";
import {
  type AppliedRecord,
  appliedKey,
  decodeApplied,
  encodeApplied,
  groupPrefix,
} from "../../src/replica/group-records.ts";
import { MarkingStore } from "../../src/replica/marking-store.ts";
import type { EntriesWanted, GroupMessage } from "../../src/replica/ports.ts";
import type { Replica } from "../../src/replica/replica.ts";
import { ReplicaSet } from "../../src/replica/replica-set.ts";
import { clearKeyedFailed, isKeyedFailed } from "../../src/replica/storage-failure.ts";
import { LedgerMachine, setDraft } from "./ledger-machine.ts";
import { silentLogger } from "./silent-logger.ts";
import { type NodeClock, VirtualClock } from "./virtual-clock.ts";
import { VirtualNetwork } from "./virtual-network.ts";

export const GROUP = 1 as GroupId;

export interface ClusterOptions {
  readonly nodes?: number;
  /** The first so many nodes are the group's initial voters and open it at the start. Default: all. */
  readonly voters?: number;
  readonly groups?: number;
  readonly seed?: number;
  readonly flush?: "sync" | "async";
  /** Each file sync takes this long. Default 0. */
  readonly syncMs?: number;
  readonly segmentBytes?: number;
  readonly tailBytesMax?: number;
  readonly diskReserveBytes?: number;
  /** Of the state machines: nobody reads applied entries. Default: false. */
  readonly standsForLog?: boolean;
  readonly scrub?: { readonly scrubBytesPerSecond: number; readonly scrubIntervalMs: number };
  /** Added to each node's wall clock. */
  readonly skewMs?: readonly number[];
}

/** Everything of one node; `replica` and `machine` are those of the first group. */
export class ClusterNode {
  readonly nodeId: NodeId;
  readonly machines: Map<GroupId, LedgerMachine> = new Map();
  readonly counters: Map<string, number> = new Map();
  readonly clock: NodeClock;
  readonly disk: FaultDisk;
  readonly memory: MemoryDisk;
  readonly store: MemoryStore;
  /** Around the store: what the replicas use. */
  readonly keyed: FaultStore;
  readonly journal: RecordingJournal;
  readonly set: ReplicaSet;
  isUp = true;
  fatal: Error | undefined;
  isFatalExpected = false;

  constructor(
    nodeId: NodeId,
    stores: {
      readonly clock: NodeClock;
      readonly disk: FaultDisk;
      readonly memory: MemoryDisk;
      readonly store: MemoryStore;
      readonly journal: RecordingJournal;
    },
    makeSet: (node: ClusterNode) => ReplicaSet,
  ) {
    this.nodeId = nodeId;
    this.clock = stores.clock;
    this.disk = stores.disk;
    this.memory = stores.memory;
    this.store = stores.store;
    this.keyed = new FaultStore(stores.store);
    this.journal = stores.journal;
    this.set = makeSet(this);
  }

  get replica(): Replica {
    return defined(this.set.get(GROUP), `group is open on node ${this.nodeId}`);
  }

  get machine(): LedgerMachine {
    return defined(this.machines.get(GROUP), "machine");
  }
}

export class ReplicaCluster {
  readonly clock: VirtualClock = new VirtualClock();
  readonly random: Random;
  readonly network: VirtualNetwork;
  readonly nodeIds: readonly [NodeId, ...NodeId[]];
  readonly #options: ClusterOptions;
  readonly #nodes = new Map<NodeId, ClusterNode>();
  /** Power cuts per node: each is followed by another boot. */
  readonly #boots = new Map<NodeId, number>();
  readonly #disks = new Map<NodeId, { memory: MemoryDisk; store: MemoryStore }>();
  appendsDelivered = 0;
  /** Asked for by replicas that repair themselves. */
  entriesFetched = 0;

  constructor(options: ClusterOptions = {}) {
    this.#options = options;
    this.random = seededRandom(options.seed ?? 1);
    this.network = new VirtualNetwork(this.clock.root, this.random);
    this.network.onDeliver = (_from, _to, { message }) => {
      if (message.kind === "append-request") this.appendsDelivered += 1;
    };
    const count = options.nodes ?? 3;
    this.nodeIds = Array.from({ length: count }, (_, at) => at + 1) as [NodeId, ...NodeId[]];
    for (const nodeId of this.nodeIds) {
      this.#disks.set(nodeId, { memory: new MemoryDisk(), store: new MemoryStore() });
    }
  }

  /** Starts all nodes and opens the groups on the initial voters. */
  async start(): Promise<void> {
    for (const nodeId of this.nodeIds) {
      await this.#boot(nodeId);
      if (this.#voters().includes(nodeId)) await this.open(nodeId);
    }
  }

  node(nodeId: NodeId): ClusterNode {
    return defined(this.#nodes.get(nodeId), `node ${nodeId}`);
  }

  live(): ClusterNode[] {
    return [...this.#nodes.values()].filter((node) => node.isUp && node.set.get(GROUP));
  }

  liveIds(): NodeId[] {
    return this.live().map((node) => node.nodeId);
  }

  followers(): ClusterNode[] {
    return this.live().filter((node) => !node.replica.isLeaderReady);
  }

  /** Opens all groups on a running node. @param revision of its replicas */
  async open(nodeId: NodeId, revision = 0): Promise<void> {
    const node = this.node(nodeId);
    for (let number = 1; number <= (this.#options.groups ?? 1); number += 1) {
      const stateMachine = new LedgerMachine(this.#options.standsForLog);
      node.machines.set(number as GroupId, stateMachine);
      const opened = node.set.openGroup({
        groupId: number as GroupId,
        replicaId: replicaIdOf(nodeId, revision),
        initialMembership: { voters: this.#voters().map((id) => replicaIdOf(id, 0)), learners: [] },
        stateMachine,
        flush: this.#options.flush ?? "sync",
      });
      await this.clock.until(opened);
    }
  }

  /** Waits for a leader that serves. */
  async leader(): Promise<ClusterNode> {
    return this.#leaderWhere(() => true);
  }

  async leaderOtherThan(nodeId: NodeId): Promise<ClusterNode> {
    return this.#leaderWhere((node) => node.nodeId !== nodeId);
  }

  /** Moves the leadership there and waits until it serves. */
  async leaderOn(nodeId: NodeId): Promise<void> {
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const leader = await this.leader();
      if (leader.nodeId === nodeId) return;
      await this.clock.until(leader.replica.transferLeadership(nodeId).catch(() => undefined));
      await this.clock.runUntil(() => this.node(nodeId).replica.isLeaderReady, 2000);
    }
    expect((await this.leader()).nodeId).toBe(nodeId);
  }

  /** Sets k<from> … k<from+count-1> one batch after the other on whoever leads, and waits for each reply. */
  async putMany(count: number, from: number, padding = 0): Promise<void> {
    const { replica } = await this.leader();
    const replies: Promise<unknown>[] = [];
    for (let n = from; n < from + count; n += 1) {
      replies.push(replica.proposeAndApply(setDraft(`k${n}`, `v${n}`, padding)));
    }
    await this.clock.until(Promise.all(replies));
  }

  /** Waits until all live replicas have applied the same, and compares their state. */
  async converge(): Promise<void> {
    const leader = await this.leader();
    const isEqual = (): boolean =>
      this.live().every(
        ({ replica }) =>
          replica.watermarks.appliedIndex === leader.replica.watermarks.commitIndex &&
          replica.watermarks.writtenIndex === leader.replica.watermarks.writtenIndex,
      );
    const converged = await this.clock.runUntil(isEqual, 30_000);
    const states = this.live().map(({ replica }) => JSON.stringify(replica.status()));
    expect(converged, states.join("\n")).toBe(true);
    for (const node of this.live()) {
      expect(node.machine.text()).toBe(leader.machine.text());
      expect(node.replica.highWatermark).toBe(leader.replica.highWatermark);
    }
  }

  /** "process": the page cache survives. "power": only what was synced, in the worst case. */
  async crash(
    nodeId: NodeId,
    kind: "process" | "power",
    random: Random = WORST_CASE,
  ): Promise<void> {
    const node = this.node(nodeId);
    node.isUp = false;
    node.clock.stop();
    this.network.detach(nodeId);
    if (kind === "power") this.newBoot(nodeId);
    const memory = kind === "power" ? node.memory.crash(random) : node.memory.detach();
    const store = kind === "power" ? node.store.crash(random) : node.store.detach();
    this.#disks.set(nodeId, { memory, store });
    await this.clock.run(0);
  }

  /** The machine of a node that is down was switched off and on. */
  newBoot(nodeId: NodeId): void {
    this.#boots.set(nodeId, (this.#boots.get(nodeId) ?? 0) + 1);
  }

  /** Lets the node make so many more changes to its disk, then cuts its power. */
  async crashAfterChanges(nodeId: NodeId, changes: number): Promise<void> {
    const { disk } = this.node(nodeId);
    const limit = disk.changes + changes;
    await this.clock.runUntil(() => disk.changes >= limit, 5000);
    await this.crash(nodeId, "power");
  }

  /** Graceful. */
  async stop(nodeId: NodeId): Promise<void> {
    const node = this.node(nodeId);
    await this.clock.until(node.set.close());
    node.set.markUnsynced();
    await this.clock.until(node.journal.close({ clean: true }));
    node.isUp = false;
    node.clock.stop();
    this.network.detach(nodeId);
    this.#disks.set(nodeId, { memory: node.memory.detach(), store: node.store.detach() });
  }

  async restart(nodeId: NodeId): Promise<void> {
    await this.boot(nodeId);
    await this.open(nodeId);
  }

  /** The node runs, its groups are not open. */
  async boot(nodeId: NodeId): Promise<void> {
    await this.#boot(nodeId);
  }

  /** Cuts everybody's power and says how many disks hold the entry afterwards. The cluster is down then. */
  async durableHolders(index: LogIndex): Promise<number> {
    let holders = 0;
    for (const node of this.live()) {
      await this.crash(node.nodeId, "power");
      const { memory } = this.#stored(node.nodeId);
      const { record, replicaId } = node.replica;
      const log = await this.#openLog(memory, groupDirectory(GROUP, replicaId), record);
      if (log.lastIndex >= index) holders += 1;
      log.close();
    }
    return holders;
  }

  /** Changes the applied record of a stopped node. */
  async forgeApplied(
    nodeId: NodeId,
    forge: (record: AppliedRecord) => AppliedRecord,
  ): Promise<void> {
    const { store } = this.#stored(nodeId);
    const key = appliedKey(groupPrefix(GROUP, replicaIdOf(nodeId, 0)));
    const bytes = defined(await store.get(key), "applied record");
    const value = encodeApplied(forge(defined(decodeApplied(bytes), "valid record")));
    await store.batch([{ type: "put", key, value }], { sync: true });
  }

  async wipeKeyed(nodeId: NodeId): Promise<void> {
    await this.#stored(nodeId).store.removeRange("g/");
  }

  /** What is on a stopped node's disk. */
  diskOf(nodeId: NodeId): MemoryDisk {
    return this.#stored(nodeId).memory;
  }

  wipeLogs(nodeId: NodeId): void {
    this.#stored(nodeId).memory.removeTree("groups");
  }

  /** The node has failed and the test wants that; it stays reachable, so that what it still says can be seen. */
  expectFatal(nodeId: NodeId): void {
    const node = this.node(nodeId);
    node.isFatalExpected = true;
    node.isUp = false;
  }

  /** No node may have failed unless the test wanted it. */
  checkFailures(): void {
    for (const node of this.#nodes.values()) {
      if (!node.isFatalExpected) expect(node.fatal).toBeUndefined();
    }
  }

  /** Pre-votes of a far future: from another node, but to a wrong replica id, and to a group that is not here. */
  strayMessages(to: NodeId): { readonly from: NodeId; readonly items: readonly GroupMessage[] } {
    const from = defined(
      this.nodeIds.find((nodeId) => nodeId !== to),
      "another node",
    );
    const request = (groupId: GroupId, target: ReplicaId): GroupMessage => ({
      groupId,
      message: {
        kind: "vote-request",
        from: replicaIdOf(from, 0),
        to: target,
        term: 99,
        pre: false,
        lastIndex: 1000,
        lastTerm: 98,
        transfer: true,
      },
    });
    const items = [request(GROUP, replicaIdOf(to, 1)), request(77 as GroupId, replicaIdOf(to, 0))];
    return { from, items };
  }

  leadersPerGroup(): number {
    const leaders = this.live().flatMap(({ set }) => set.all().filter((one) => one.isLeaderReady));
    return new Set(leaders.map(({ groupId }) => groupId)).size;
  }

  #voters(): NodeId[] {
    return this.nodeIds.slice(0, this.#options.voters ?? this.nodeIds.length);
  }

  #stored(nodeId: NodeId): { memory: MemoryDisk; store: MemoryStore } {
    return defined(this.#disks.get(nodeId), "disk");
  }

  /** As a start of the broker finds it: a keyed store that failed is emptied. */
  #usable(nodeId: NodeId): { memory: MemoryDisk; store: MemoryStore } {
    const stored = this.#stored(nodeId);
    if (isKeyedFailed(stored.memory)) stored.store = new MemoryStore();
    clearKeyedFailed(stored.memory);
    return stored;
  }

  async #leaderWhere(accept: (node: ClusterNode) => boolean): Promise<ClusterNode> {
    const find = (): ClusterNode | undefined =>
      this.live().find((node) => node.replica.isLeaderReady && accept(node));
    await this.clock.runUntil(() => find() !== undefined, 30_000);
    const states = this.live().map(({ replica }) => JSON.stringify(replica.status()));
    return defined(find(), `a leader within 30 s\n${states.join("\n")}`);
  }

  async #boot(nodeId: NodeId): Promise<void> {
    const { memory, store } = this.#usable(nodeId);
    const clock = this.clock.fork(this.#options.skewMs?.[nodeId - 1] ?? 0);
    const disk = new FaultDisk(memory);
    const inner = await this.clock.until(
      openHardStateJournal(disk, { bootId: `boot-${this.#boots.get(nodeId) ?? 0}` }),
    );
    const { syncMs } = this.#options;
    if (syncMs !== undefined) {
      disk.inject({
        operations: ["sync"],
        times: Number.POSITIVE_INFINITY,
        effect: { kind: "slow", ms: syncMs, clock },
      });
    }
    const journal = new RecordingJournal(inner);
    const stores = { clock, disk, memory, store, journal };
    const node = new ClusterNode(nodeId, stores, (owner) => this.#makeSet(owner));
    this.#nodes.set(nodeId, node);
    this.network.attach(nodeId, node.set);
    node.set.start();
  }

  #makeSet(node: ClusterNode): ReplicaSet {
    const { nodeId, clock, disk, keyed, journal } = node;
    return new ReplicaSet(
      {
        nodeId,
        clock,
        random: seededRandom(this.random.integer(0, 2 ** 31)),
        disk,
        keyed: new MarkingStore(keyed, disk),
        journal,
        images: openImageStore(disk),
        transport: this.network.transport(nodeId),
        logger: silentLogger,
        metrics: {
          count: (name, by = 1) => node.counters.set(name, (node.counters.get(name) ?? 0) + by),
          observe: () => undefined,
        },
        openLog: (directory, record) => this.#openLog(disk, directory, record),
        fetchEntries: (from, wanted) => this.#fetchEntries(nodeId, from, wanted),
        onFatal: (error) => {
          if (node.isUp) node.fatal = error;
        },
      },
      {
        ...(this.#options.tailBytesMax === undefined
          ? {}
          : { tailBytesMax: this.#options.tailBytesMax }),
        diskReserveBytes: this.#options.diskReserveBytes ?? 0,
        ...this.#options.scrub,
      },
    );
  }

  /** Over the same links as messages. */
  async #fetchEntries(to: NodeId, from: NodeId, wanted: EntriesWanted): Promise<readonly Frame[]> {
    await sleep(this.clock.root, 1);
    const node = this.#nodes.get(from);
    if (node?.isUp !== true || !this.network.isOpen(from, to) || !this.network.isOpen(to, from)) {
      throw new BrokerError("UNREACHABLE", "the node is not there");
    }
    this.entriesFetched += wanted.last - wanted.first + 1;
    return node.set.readEntries(to, { ...wanted, bytesMax: 500 });
  }

  #openLog(disk: Disk, directory: string, record: HardStateRecord): Promise<GroupLog> {
    const segmentBytes = this.#options.segmentBytes ?? 1 << 20;
    const { durableCommitIndex: durableIndexHint, groupId, unrecovered } = record;
    const sizes = { segmentBytes, indexBytes: 512 };
    const known = { durableIndexHint, pageCacheKept: !unrecovered };
    return openGroupLog({ disk, directory, groupId, ...known, ...sizes });
  }
}

/** Remembers which records are durable: saved before a sync that has ended. */
export class RecordingJournal implements HardStateJournal {
  readonly #inner: HardStateJournal;
  #saved: HardStateRecord[] = [];
  readonly durable: Map<GroupId, HardStateRecord> = new Map();

  constructor(inner: HardStateJournal) {
    this.#inner = inner;
    for (const record of inner.all()) this.durable.set(record.groupId, record);
  }

  get incarnation(): number {
    return this.#inner.incarnation;
  }

  get bootChanged(): boolean {
    return this.#inner.bootChanged;
  }

  get wasClean(): boolean {
    return this.#inner.wasClean;
  }

  get(groupId: GroupId): HardStateRecord | undefined {
    return this.#inner.get(groupId);
  }

  all(): readonly HardStateRecord[] {
    return this.#inner.all();
  }

  save(record: HardStateRecord): void {
    this.#saved.push(record);
    this.#inner.save(record);
  }

  async sync(): Promise<void> {
    const covered = this.#saved;
    this.#saved = [];
    await this.#inner.sync();
    for (const record of covered) this.durable.set(record.groupId, record);
  }

  close(options: { readonly clean: boolean }): Promise<void> {
    return this.#inner.close(options);
  }
}

/** Makes a power cut lose everything that was not synced. */
const WORST_CASE: Random = { next: () => 0, integer: (from) => from, uuid: () => "" };
