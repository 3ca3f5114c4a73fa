// What became of a send whose outcome its sender does not know (raft.md §1.4): by producer sequence from what the
// partition remembers, or by position from the terms of the log. Only the leader answers; COMMITTED and LOST are final.
import type { ProducerId } from "../model/ids.ts";
import type { Offset, Term } from "../model/positions.ts";
import { isSequenceAhead, sequenceDistance } from "../model/sequence.ts";
import type { Partition } from "./partition.ts";
import { isWeakProducer, type RememberedBatches } from "./producer-table.ts";

/** Shape of the protocol's QueryOutcomeRequest, the place left out. */
export interface OutcomeQuery {
  /** 0: ask by position. */
  readonly producerId: ProducerId;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly offset: Offset;
  readonly leaderEpoch: Term;
}

/** Shape of the protocol's QueryOutcomeResponse. Offset and epoch are 0 unless committed. */
export interface OutcomeAnswer {
  readonly outcome: "committed" | "lost" | "unknown";
  readonly offset: Offset;
  readonly leaderEpoch: Term;
}

const LOST: OutcomeAnswer = { outcome: "lost", offset: 0, leaderEpoch: 0 };
const UNKNOWN: OutcomeAnswer = { outcome: "unknown", offset: 0, leaderEpoch: 0 };

/** @throws BrokerError NOT_LEADER | LEADER_UNKNOWN | SHUTTING_DOWN */
export async function queryOutcome(
  partition: Partition,
  query: OutcomeQuery,
): Promise<OutcomeAnswer> {
  partition.requireLeader();
  return query.producerId === 0 ? byPosition(partition, query) : bySequence(partition, query);
}

function bySequence(partition: Partition, query: OutcomeQuery): OutcomeAnswer {
  const { producerId, producerEpoch, baseSequence } = query;
  const pending = partition.appends.overlay.producer(producerId);
  const applied = partition.state.producers.get(producerId);
  for (const batches of [pending, applied]) {
    if (batches?.epoch !== producerEpoch) continue;
    for (let place = batches.length - 1; place >= 0; place -= 1) {
      const batch = batches.at(place);
      if (batch === undefined || !holds(batch, baseSequence)) continue;
      if (batch.index > partition.replica.watermarks.commitIndex) return UNKNOWN;
      const offset = batch.baseOffset + sequenceDistance(batch.baseSequence, baseSequence);
      return { outcome: "committed", offset, leaderEpoch: batch.term };
    }
  }
  return applied !== undefined && isPassedBy(query, applied) ? LOST : UNKNOWN;
}

function holds(
  batch: { readonly baseSequence: number; readonly recordCount: number },
  sequence: number,
): boolean {
  return sequenceDistance(batch.baseSequence, sequence) < batch.recordCount;
}

/**
 * A weak producer's sequence that is remembered to be left out, with a committed one behind it: it is in no log that can
 * win, and never will be accepted again. (A gapless producer leaves nothing out; older epochs are not remembered.)
 */
function isPassedBy(query: OutcomeQuery, applied: RememberedBatches): boolean {
  const { producerId, producerEpoch, baseSequence } = query;
  if (!isWeakProducer(producerId) || applied.epoch !== producerEpoch) return false;
  const oldest = applied.at(0);
  const newest = applied.at(applied.length - 1);
  if (oldest === undefined || newest === undefined) return false;
  return (
    isSequenceAhead(baseSequence, oldest.baseSequence) &&
    isSequenceAhead(newest.baseSequence, baseSequence)
  );
}

async function byPosition(partition: Partition, query: OutcomeQuery): Promise<OutcomeAnswer> {
  const { offset, leaderEpoch } = query;
  const { replica } = partition;
  const { term } = replica;
  // Records below the log start are gone; their terms are not remembered.
  if (leaderEpoch === 0 || leaderEpoch > term || offset < partition.logStartOffset) return UNKNOWN;
  const index = await replica.indexOfOffset(offset);
  partition.requireLeader();
  // Everything that can ever be committed in an earlier term is in a ready leader's log.
  if (index === undefined) return leaderEpoch < term ? LOST : UNKNOWN;
  if (offset < partition.logStartOffset) return UNKNOWN;
  const stored = replica.termAt(index);
  if (stored === undefined) return UNKNOWN;
  const isCommitted = index <= replica.watermarks.commitIndex;
  if (stored === leaderEpoch) {
    return isCommitted ? { outcome: "committed", offset, leaderEpoch } : UNKNOWN;
  }
  // Another term holds the offset. While that entry is not committed, the present term may still be overtaken – but not by
  // the term that was asked for, unless it is the present one.
  return isCommitted || leaderEpoch < term ? LOST : UNKNOWN;
}
