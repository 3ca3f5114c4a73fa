// Whose a partition is in exclusive mode: the consumer with the highest hash of (its id, the partition), so that partitions
// spread over consumers, and only those of a consumer that comes or goes change hands. Pure.

/** Of two with the same hash (and of one that is there twice) the smaller id, then the earlier one wins. */
export function chooseOwner<T extends { readonly id: string }>(
  consumers: Iterable<T>,
  partitionName: string,
): T | undefined {
  let best: T | undefined;
  let bestHash = -1;
  for (const consumer of consumers) {
    const hash = rendezvousHash(consumer.id, partitionName);
    const isBetter = hash > bestHash || (hash === bestHash && consumer.id < (best?.id ?? ""));
    if (!isBetter) continue;
    best = consumer;
    bestHash = hash;
  }
  return best;
}

/** 32 bits, the same wherever it is computed. */
export function rendezvousHash(consumerId: string, name: string): number {
  return hashOf(`${consumerId}\n${name}`);
}

/** 32 bits over UTF-16 units: FNV-1a, and a final mix because ids often differ in their last character only. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
