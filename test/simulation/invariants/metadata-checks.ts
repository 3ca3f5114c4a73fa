// I33: ids are never used again, whichever node's metadata one looks at. A topic's or group's id stands for one thing, a replica
// id for one data directory, a node's epoch for one registration; what was there and then was not does not come back. And one
// version of the metadata is the same on every node, row by row, whether it was applied, read back or came as an image. Fed
// with every change of every node's metadata by sim-cluster.ts.
import type { MetadataImage } from "../../../src/cluster/metadata-image.ts";
import { placementsOf } from "../../../src/cluster/topic-table.ts";
import type { NodeId } from "../../../src/model/ids.ts";
import type { LogIndex } from "../../../src/model/positions.ts";
import { differenceOf, digestOf } from "./metadata-digest.ts";

interface Known {
  readonly meaning: string;
  /** Metadata version at which it was first seen to be gone; infinite while it never was. */
  goneAt: number;
}

/** As a node had it that came to this version first. */
interface Version {
  readonly node: NodeId;
  readonly image: MetadataImage;
  readonly digest: number;
}

/** Whoever starts again far behind goes through versions that are forgotten: those are not compared. */
const VERSIONS_KEPT = 1000;

export class MetadataChecks {
  readonly #report: (problem: string) => void;
  readonly #ids = new Map<string, Known>();
  /** Newer versions tell the same again on other nodes, and after restarts. */
  #newestVersion = 0;
  #present = new Set<string>();
  readonly #versions = new Map<LogIndex, Version>();
  /** Images that were compared with one of another node. */
  compared = 0;

  constructor(report: (problem: string) => void) {
    this.#report = report;
  }

  check(node: NodeId, image: MetadataImage): void {
    this.#compare(node, image);
    this.#checkIds(image);
  }

  #compare(node: NodeId, image: MetadataImage): void {
    const { version } = image;
    const digest = digestOf(image);
    const first = this.#versions.get(version);
    if (first === undefined) {
      this.#versions.set(version, { node, image, digest });
      const [oldest] = this.#versions.keys();
      if (this.#versions.size > VERSIONS_KEPT && oldest !== undefined) {
        this.#versions.delete(oldest);
      }
      return;
    }
    if (first.node !== node) this.compared += 1;
    if (first.digest === digest) return;
    const what = differenceOf(image, first.image) ?? "nothing that is shown";
    this.#report(`metadata differ: version ${version} on n${node} and n${first.node}: ${what}`);
  }

  #checkIds(image: MetadataImage): void {
    const { version } = image;
    const present = new Set<string>();
    for (const [id, meaning] of idsOf(image)) {
      present.add(id);
      const known = this.#ids.get(id);
      if (known === undefined) this.#ids.set(id, { meaning, goneAt: Number.POSITIVE_INFINITY });
      else if (known.meaning !== meaning) {
        this.#report(`id used again: ${id} was ${known.meaning}, is ${meaning}`);
      } else if (version >= known.goneAt) {
        this.#report(`id used again: ${id} was gone at ${known.goneAt}, is there at ${version}`);
      }
    }
    if (version <= this.#newestVersion) return;
    for (const id of this.#present) {
      const known = this.#ids.get(id);
      if (!present.has(id) && known !== undefined) known.goneAt = Math.min(known.goneAt, version);
    }
    this.#newestVersion = version;
    this.#present = present;
  }
}

function* idsOf({ nodes, partitions, topics }: MetadataImage): Generator<[string, string]> {
  for (const { name, topicId } of topics.values()) yield [`topic ${topicId}`, name];
  for (const row of partitions.values()) {
    const { groupId, partition, topicId } = row;
    yield [`group ${groupId}`, `${topicId}/${partition}`];
    for (const { directoryId, nodeId, revision } of placementsOf(row)) {
      yield [`replica ${groupId}-${nodeId}-${revision}`, directoryId];
    }
  }
  for (const {
    directoryId,
    incarnation,
    metadataRevision,
    nodeId,
    registeredIndex,
  } of nodes.values()) {
    yield [`metadata replica ${nodeId}-${metadataRevision}`, directoryId];
    yield [`epoch ${registeredIndex}`, `${nodeId} ${directoryId} ${incarnation}`];
  }
}
