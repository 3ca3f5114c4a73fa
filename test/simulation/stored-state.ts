// Whether what a node's keyed store holds of a partition is what its state machine puts into an image: the two must describe
// the same state, or a replica that starts from the one knows something else than one that starts from the other. Asked in
// the end, by calm.ts.
import type { GroupId } from "../../src/model/ids.ts";
import {
  appliedKey,
  decodeApplied,
  groupPrefix,
  statePrefix,
} from "../../src/replica/group-records.ts";
import type { SimBroker } from "./sim-broker.ts";

/** @returns what is wrong; undefined also when the node has no such partition, or has not written its last state yet */
export async function problemOfStored(
  { node, nodeId }: SimBroker,
  group: GroupId,
): Promise<string | undefined> {
  const replica = node?.replicas.get(group);
  const partition = node?.partitions.get(group);
  if (node === undefined || replica === undefined || partition === undefined) return undefined;
  const { keyed } = node.ports;
  const prefix = groupPrefix(group, replica.replicaId);
  const record = await keyed.get(appliedKey(prefix));
  const applied = record === undefined ? undefined : decodeApplied(record);
  if (applied?.index !== replica.watermarks.appliedIndex) return undefined;
  const wanted = new Map(partition.state.pairs());
  for await (const [path, value] of keyed.range(statePrefix(prefix))) {
    const key = path.slice(statePrefix(prefix).length);
    const inImage = wanted.get(key);
    wanted.delete(key);
    if (inImage === undefined) return `n${nodeId} stores ${key}, its image leaves it out`;
    if (!value.equals(inImage)) return `n${nodeId} stores another ${key} than its image has`;
  }
  const [missing] = wanted.keys();
  return missing === undefined ? undefined : `n${nodeId} does not store ${missing}`;
}
