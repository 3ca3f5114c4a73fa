// What must hold in every state of every run, seen from outside: by what the replicas say of themselves, what their disks
// hold, what they tell each other and what they answer. README.md says which invariant of the catalogue is checked where.
// Used by sim-cluster.ts.
import { crc32c } from "../../../src/base/crc32c.ts";
import type { MetadataImage } from "../../../src/cluster/metadata-image.ts";
import type { Frame } from "../../../src/model/entry-frame.ts";
import type { GroupId, NodeId } from "../../../src/model/ids.ts";
import type { Offset, Term } from "../../../src/model/positions.ts";
import type { Replica } from "../../../src/replica/replica.ts";
import type { PeerEnvelope } from "../../../src/rpc/generated/flotilla-internal-v1.ts";
import { ChangeChecks } from "./change-checks.ts";
import { ClientChecks } from "./client-checks.ts";
import { DamageChecks } from "./damage-checks.ts";
import { DeliveryChecks } from "./delivery-checks.ts";
import { DiskChecks, type LiveReplica } from "./disk-checks.ts";
import { DiskView } from "./disk-view.ts";
import { Findings } from "./findings.ts";
import type { LogView } from "./log-view.ts";
import { MetadataChecks } from "./metadata-checks.ts";
import { StatusChecks } from "./status-checks.ts";
import { WireChecks } from "./wire-checks.ts";

export interface InvariantsOptions {
  readonly report: (problem: string) => void;
  readonly eventCount: () => number;
  /** Called once per group and term. */
  readonly onLeader: (node: NodeId, group: GroupId, term: Term) => void;
  /** The replica that runs on this log now. */
  readonly replicaOf: (log: LogView) => Replica | undefined;
}

export class Invariants {
  readonly deliveries: DeliveryChecks;
  readonly damage: DamageChecks;
  readonly #findings: Findings;
  readonly #status: StatusChecks;
  readonly #wire: WireChecks;
  readonly #disk: DiskChecks;
  readonly #changes: ChangeChecks;
  readonly #clients: ClientChecks;
  readonly #metadata: MetadataChecks;
  readonly #options: InvariantsOptions;

  constructor(options: InvariantsOptions) {
    this.#options = options;
    this.#findings = new Findings(options.report, options.eventCount);
    this.damage = new DamageChecks(options.report);
    this.deliveries = new DeliveryChecks(this.#findings);
    this.#status = new StatusChecks(this.#findings, options.onLeader);
    this.#wire = new WireChecks(this.#findings);
    this.#changes = new ChangeChecks(this.#findings);
    this.#disk = new DiskChecks(this.#findings, (log) => this.#live(log), this.#changes);
    this.#clients = new ClientChecks(this.#findings);
    this.#metadata = new MetadataChecks(options.report);
  }

  get elections(): number {
    return this.#status.elections;
  }

  get campaigns(): number {
    return this.#wire.campaigns;
  }

  /** Its candidate stood because the leader before had asked for it. */
  wasHandedOver(group: GroupId, term: Term): boolean {
    return this.#findings.book(group).handedOver.has(term);
  }

  get truncations(): number {
    return this.#disk.truncations;
  }

  /** Changes of members that followed another one. */
  get changesCompared(): number {
    return this.#changes.compared;
  }

  /** Images of metadata that were compared between nodes. */
  get metadataCompared(): number {
    return this.#metadata.compared;
  }

  /** How often a leader found damage of its own. */
  damagedLeaders = 0;

  /** The view of a node's disk, to be fed with its operations. */
  diskOf(node: NodeId): DiskView {
    let disk = this.#findings.disks.get(node);
    if (disk === undefined) {
      disk = new DiskView(node, this.#disk);
      this.#findings.disks.set(node, disk);
    }
    return disk;
  }

  /** A new process is about to open the node's directory. */
  booted(node: NodeId): void {
    this.#status.booted(node);
  }

  /** Acknowledgements of this group wait for the disk. */
  declareSync(groupId: GroupId): void {
    this.#findings.syncGroups.add(groupId);
  }

  /** Has a majority of the group's replicas lost an entry with their page caches, or was it recovered by force? */
  isForgiven(group: GroupId): boolean {
    return this.#findings.forgiven.has(group);
  }

  /** The group goes on from one replica, whatever the others had. */
  forgive(group: GroupId): void {
    this.#findings.forgiven.add(group);
    this.#findings.book(group).forgive();
  }

  /** A node's metadata, at a start and after every change. */
  metadata(node: NodeId, image: MetadataImage): void {
    this.#metadata.check(node, image);
  }

  /** After an event on the node's host. @returns the replicas that it moved */
  check(node: NodeId, replicas: readonly Replica[]): readonly Replica[] {
    const moved = this.#status.check(node, replicas);
    this.#changes.check();
    return moved;
  }

  sent(node: NodeId, envelope: PeerEnvelope): void {
    this.#wire.check(node, envelope);
  }

  acked(groupId: GroupId, offset: Offset, epoch: Term, isSync: boolean): void {
    this.#clients.acked(groupId, offset, epoch, isSync);
  }

  read(groupId: GroupId, offset: Offset, epoch: Term): void {
    this.#clients.read(groupId, offset, epoch);
  }

  /** A reader goes on behind what it read there. */
  readOn(groupId: GroupId, offset: Offset, epoch: Term): void {
    this.#clients.readOn(groupId, offset, epoch);
  }

  /** A replica hands out what it read from its disk. */
  served({ groupId, replicaId }: Replica, frame: Frame): void {
    const entry = this.#findings.log(groupId, replicaId)?.entry(frame.index);
    if (entry === undefined || entry.hash === crc32c(frame.bytes)) return;
    this.#options.report(`damage served: group ${groupId} index ${frame.index} of ${replicaId}`);
  }

  /** At the end: all replicas of a group hold the same entries, as far back as each has them. */
  compareLogs(groupId: GroupId, replicas: readonly Replica[]): void {
    const merged = new Map<number, { readonly hash: number; readonly node: NodeId }>();
    for (const { replicaId } of replicas) {
      const log = this.#findings.log(groupId, replicaId);
      for (const { entries } of log?.segments ?? []) {
        for (const { hash, index } of entries) {
          const other = merged.get(index);
          if (other === undefined) merged.set(index, { hash, node: log?.node ?? (0 as NodeId) });
          else if (other.hash !== hash) {
            const who = `n${other.node} and n${log?.node}`;
            this.#findings.report(`replicas differ: group ${groupId} index ${index} on ${who}`);
          }
        }
      }
    }
  }

  #live(log: LogView): LiveReplica {
    const replica = this.#options.replicaOf(log);
    if (replica === undefined) return undefined;
    return { isLeader: replica.status().role === "leader" };
  }
}
