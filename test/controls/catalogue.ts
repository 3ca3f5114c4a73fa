// All positive controls, in the order in which they are run and reported.
import { ackBeforeCommit } from "./catalogue/ack-before-commit.ts";
import { ackBeforeFlush } from "./catalogue/ack-before-flush.ts";
import { ackLost } from "./catalogue/ack-lost.ts";
import { agreementOutlivesTerm } from "./catalogue/agreement-outlives-term.ts";
import { attemptDoubled } from "./catalogue/attempt-doubled.ts";
import { barrierSkipped } from "./catalogue/barrier-skipped.ts";
import { commitCountsUnflushed } from "./catalogue/commit-counts-unflushed.ts";
import { commitOfOlderTerm } from "./catalogue/commit-of-older-term.ts";
import { cursorAhead } from "./catalogue/cursor-ahead.ts";
import { deadLetterTwice } from "./catalogue/dead-letter-twice.ts";
import { dedupeNotInImages } from "./catalogue/dedupe-not-in-images.ts";
import { dedupeNotReplicated } from "./catalogue/dedupe-not-replicated.ts";
import { flushNotAwaited } from "./catalogue/flush-not-awaited.ts";
import { followerRead } from "./catalogue/follower-read.ts";
import { highWatermarkEarly } from "./catalogue/high-watermark-early.ts";
import { jointIgnored } from "./catalogue/joint-ignored.ts";
import { journalNotSynced } from "./catalogue/journal-not-synced.ts";
import { keyOvertaken } from "./catalogue/key-overtaken.ts";
import { noCheckQuorum } from "./catalogue/no-check-quorum.ts";
import { noLogMatching } from "./catalogue/no-log-matching.ts";
import { noOwnTermEntry } from "./catalogue/no-own-term-entry.ts";
import { noPreVote } from "./catalogue/no-pre-vote.ts";
import { noStickiness } from "./catalogue/no-stickiness.ts";
import { recoveringVoteCounts } from "./catalogue/recovering-vote-counts.ts";
import { staleAck } from "./catalogue/stale-ack.ts";
import { termNotDurable } from "./catalogue/term-not-durable.ts";
import { tornTailAccepted } from "./catalogue/torn-tail-accepted.ts";
import { truncationBelowCommit } from "./catalogue/truncation-below-commit.ts";
import { voteForgotten } from "./catalogue/vote-forgotten.ts";
import { voteNotStored } from "./catalogue/vote-not-stored.ts";
import { voteToldEarly } from "./catalogue/vote-told-early.ts";
import type { Control } from "./control.ts";

export const CONTROLS: readonly Control[] = [
  voteToldEarly,
  voteNotStored,
  voteForgotten,
  journalNotSynced,
  termNotDurable,
  ackBeforeFlush,
  flushNotAwaited,
  commitCountsUnflushed,
  commitOfOlderTerm,
  ackBeforeCommit,
  highWatermarkEarly,
  followerRead,
  barrierSkipped,
  noOwnTermEntry,
  noPreVote,
  noStickiness,
  noCheckQuorum,
  truncationBelowCommit,
  noLogMatching,
  agreementOutlivesTerm,
  jointIgnored,
  recoveringVoteCounts,
  tornTailAccepted,
  dedupeNotReplicated,
  dedupeNotInImages,
  ackLost,
  keyOvertaken,
  staleAck,
  attemptDoubled,
  cursorAhead,
  deadLetterTwice,
];
