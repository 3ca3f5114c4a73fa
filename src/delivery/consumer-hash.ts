// A short name for a consumer, computed from the id that it chose: what a leader notes of it for the next one (presence-table),
// which may be another release on another machine. Called when a consumer is added to a dispatcher. Pure.

/** An integer of 48 bits. Two of 1000 consumers have the same one with a probability of 2 in 10⁹. */
export type ConsumerHash = number;

/** Above all of them. */
export const CONSUMER_HASH_END = 2 ** 48;

/** The same wherever it is computed: it stands in replicated state. */
export function consumerHash(id: string): ConsumerHash {
  let low = 0x811c9dc5;
  let high = 0x2545f491;
  for (let at = 0; at < id.length; at += 1) {
    const unit = id.charCodeAt(at);
    low = Math.imul(low ^ unit, 0x01000193);
    // Turned, too: otherwise the lowest bits of both would only differ by where they began.
    high = Math.imul(((high << 5) | (high >>> 27)) ^ unit, 0x9e3779b1);
  }
  return (mixed(high) & 0xffff) * 2 ** 32 + mixed(low);
}

/** Ids often differ in their last character only: every bit of it changes half of the result. */
function mixed(hash: number): number {
  const first = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  const second = Math.imul(first ^ (first >>> 13), 0xc2b2ae35);
  return (second ^ (second >>> 16)) >>> 0;
}
