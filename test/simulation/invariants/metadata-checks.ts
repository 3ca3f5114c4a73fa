// I33: ids are never used again, whichever node's metadata one looks at. A topic's or group's id stands for one thing, a replica
// id for one data directory, a node's epoch for one registration; what was there and then was not does not come back. Fed
// with every change of every node's metadata by sim-cluster.ts.
import type { MetadataImage } from "../../../src/cluster/metadata-image.ts";
import { placementsOf } from "../../../src/cluster/topic-table.ts";

interface Known {
  readonly meaning: string;
  /** Metadata version at which it was first seen to be gone; infinite while it never was. */
  goneAt: number;
}

export class MetadataChecks {
  readonly #report: (problem: string) => void;
  readonly #ids = new Map<string, Known>();
  /** Newer versions tell the same again on other nodes, and after restarts. */
  #newestVersion = 0;
  #present = new Set<string>();

  constructor(report: (problem: string) => void) {
    this.#report = report;
  }

  check(image: MetadataImage): void {
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
