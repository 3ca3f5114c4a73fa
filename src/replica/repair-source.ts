// Entries from the other replicas of a group, for those that the own disk does not give back any more. The leader is asked
// first, then everybody else, piece by piece: what is damaged on one of them another one may have. Called by the repairer.
import type { EntrySource } from "../log/ports.ts";
import { type Frame, verifyFrame } from "../model/entry-frame.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { nodeOfReplica, type ReplicaId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { GroupContext } from "./group-context.ts";
import type { FetchEntries } from "./ports.ts";

/** Of one answer, about: what a repair holds in memory. */
const PIECE_BYTES = 4 * 1024 * 1024;

export function entriesOfOthers(
  context: GroupContext,
  fetch: FetchEntries,
  signal: AbortSignal,
): EntrySource {
  return async function* (first, last) {
    let next = first;
    while (next <= last) {
      const frames = await onePiece(context, fetch, signal, next, last);
      yield frames;
      next += frames.length;
    }
  };
}

/** @throws BrokerError NOT_ENOUGH_REPLICAS when nobody has a right copy within reach */
async function onePiece(
  context: GroupContext,
  fetch: FetchEntries,
  signal: AbortSignal,
  first: LogIndex,
  last: LogIndex,
): Promise<readonly Frame[]> {
  const { groupId, logger } = context;
  for (const replicaId of candidates(context)) {
    signal.throwIfAborted();
    const from = nodeOfReplica(replicaId);
    try {
      const pair = { from: context.replicaId, to: replicaId };
      const range = { first, last, bytesMax: PIECE_BYTES };
      const frames = await fetch(from, { groupId, ...pair, ...range }, signal);
      const problem = refusal(context, frames, first, last);
      if (problem === undefined) return frames;
      logger.warn({ groupId, from, index: first, problem }, "entries for a repair do not fit");
    } catch (error) {
      if (!isBrokerError(error)) throw error;
      const { reason } = error;
      logger.debug({ groupId, from, index: first, reason }, "no entries for a repair");
    }
  }
  const fields = { groupId, index: first };
  throw new BrokerError("NOT_ENOUGH_REPLICAS", "no replica can give the damaged entries", fields);
}

function candidates({ core, replicaId }: GroupContext): ReplicaId[] {
  const { leaderId, membership } = core.status();
  const { learners, outgoing, voters } = membership;
  const all = [...new Set([...voters, ...(outgoing ?? []), ...learners])];
  const others = all.filter((id) => id !== replicaId && id !== leaderId);
  return leaderId === 0 || leaderId === replicaId ? others : [leaderId, ...others];
}

/** Equal index and term mean the same entry (raft's log matching), so nothing else has to be known of the sender. */
function refusal(
  { core }: GroupContext,
  frames: readonly Frame[],
  first: LogIndex,
  last: LogIndex,
): string | undefined {
  if (frames.length === 0) return "nothing";
  for (const [number, frame] of frames.entries()) {
    if (frame.index !== first + number || frame.index > last) return `index ${frame.index}`;
    if (core.termAt(frame.index) !== frame.term) return `term ${frame.term}`;
    const problem = verifyFrame(frame);
    if (problem !== undefined) return problem.detail;
  }
  return undefined;
}
