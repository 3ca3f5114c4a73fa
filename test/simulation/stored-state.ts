// Whether what a node's keyed store holds of a group is what its state machine has: the two must describe the same state, or
// a replica that starts from the one knows something else than one that starts from the other. Of a partition, what goes into
// an image; of the metadata, what everybody else is shown. Asked in the end, by calm.ts.
import { MetadataView } from "../../src/cluster/metadata-image.ts";
import { MetadataState } from "../../src/cluster/metadata-state.ts";
import { type GroupId, METADATA_GROUP } from "../../src/model/ids.ts";
import {
  appliedKey,
  decodeApplied,
  groupPrefix,
  statePrefix,
} from "../../src/replica/group-records.ts";
import { canonical, differenceOf } from "./invariants/metadata-digest.ts";
import type { SimBroker } from "./sim-broker.ts";

type Pairs = ReadonlyMap<string, Buffer>;

/** @returns what is wrong; undefined also when the node has no such partition, or has not written its last state yet */
export async function problemOfStored(
  broker: SimBroker,
  group: GroupId,
): Promise<string | undefined> {
  const stored = await storedOf(broker, group);
  if (stored === undefined) return undefined;
  if (group === METADATA_GROUP) return problemOfMetadata(broker, stored);
  return problemOfPartition(broker, group, stored);
}

/** What everybody has stored of the metadata, producers and counters too, which nobody is shown. */
export async function storedMetadataOf(broker: SimBroker): Promise<string | undefined> {
  const stored = await storedOf(broker, METADATA_GROUP);
  if (stored === undefined) return undefined;
  const rows = [...stored].map(([key, value]) => [key, canonical(JSON.parse(value.toString()))]);
  return rows.map((row) => row.join(" ")).join("\n");
}

/** In order of the keys; undefined when it is not the state of what is applied. */
async function storedOf({ node }: SimBroker, group: GroupId): Promise<Pairs | undefined> {
  const replica = node?.replicas.get(group);
  if (node === undefined || replica === undefined) return undefined;
  const { keyed } = node.ports;
  const prefix = groupPrefix(group, replica.replicaId);
  const record = await keyed.get(appliedKey(prefix));
  const applied = record === undefined ? undefined : decodeApplied(record);
  if (applied?.index !== replica.watermarks.appliedIndex) return undefined;
  const pairs = new Map<string, Buffer>();
  for await (const [path, value] of keyed.range(statePrefix(prefix))) {
    pairs.set(path.slice(statePrefix(prefix).length), value);
  }
  return pairs;
}

function problemOfMetadata({ node, nodeId }: SimBroker, stored: Pairs): string | undefined {
  if (node === undefined) return undefined;
  const view = new MetadataView();
  new MetadataState(view).restore(stored);
  const what = differenceOf(view.image, node.view.image);
  return what === undefined ? undefined : `n${nodeId} stores other metadata than it shows: ${what}`;
}

function problemOfPartition(
  { node, nodeId }: SimBroker,
  group: GroupId,
  stored: Pairs,
): string | undefined {
  const partition = node?.partitions.get(group);
  if (partition === undefined) return undefined;
  const wanted = new Map(partition.state.pairs());
  for (const [key, value] of stored) {
    const inImage = wanted.get(key);
    wanted.delete(key);
    if (inImage === undefined) return `n${nodeId} stores ${key}, its image leaves it out`;
    if (!value.equals(inImage)) return `n${nodeId} stores another ${key} than its image has`;
  }
  const [missing] = wanted.keys();
  return missing === undefined ? undefined : `n${nodeId} does not store ${missing}`;
}
