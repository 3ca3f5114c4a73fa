// State images (paper §7; architecture §7.3). The image itself never comes here: the host holds it, the core decides
// whether it is wanted and what it means for log, commit index and membership.
import { assert } from "../base/assert.ts";
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { LogView } from "./log-view.ts";
import { sorted } from "./membership.ts";
import type { InstallSnapshot, SnapshotMeta } from "./messages.ts";
import type { RaftState } from "./state.ts";

/** Follower: an image arrived from this term's leader. */
export function handleInstallSnapshot<H>(state: RaftState<H>, message: InstallSnapshot): void {
  const { snapshot } = message;
  const { log, follower } = state;
  if (state.installing !== undefined) return;
  assert(snapshot.logStartIndex <= snapshot.index + 1, "no gap between image and log");
  if (log.termAt(snapshot.index) === snapshot.term) {
    // We hold the entry, so we hold all before it: no image is needed to know that they are committed.
    follower.agreedIndex = Math.max(follower.agreedIndex, snapshot.index);
    state.commitTo(snapshot.index);
    follower.isAnswerDue = true;
    return;
  }
  if (connects(log, snapshot)) {
    // The leader's log goes on where ours ends. Emptying ours would drop entries that we acknowledged: they might be on one
    // disk only then, though a majority had flushed them.
    follower.agreedIndex = Math.max(follower.agreedIndex, snapshot.logStartIndex - 1);
    follower.isAnswerDue = true;
    return;
  }
  const hasGap = log.lastIndex < state.commitIndex && log.lastIndex + 1 < snapshot.logStartIndex;
  // With a gap that this leader's log cannot fill, even an image behind our state is needed to get a log that connects:
  // the leader may not be able to commit, and so to make a newer one, without us. What is between is applied again.
  if (snapshot.index > state.commitIndex || hasGap) {
    state.installing = { meta: snapshot, isEmitted: false };
    return;
  }
  follower.agreedIndex = Math.max(follower.agreedIndex, Math.min(state.commitIndex, log.lastIndex));
  follower.isAnswerDue = true;
}

/** Our log reaches the beginning of the leader's, and is equal to it there. What left our log is committed. */
function connects<H>(log: LogView<H>, snapshot: SnapshotMeta): boolean {
  const before = snapshot.logStartIndex - 1;
  if (log.lastIndex < before) return false;
  return before < log.firstIndex - 1 || log.termAt(before) === snapshot.logStartPrevTerm;
}

/** Follower: state and log start were flipped on disk. The log is empty now and fills by ordinary appends. */
export function snapshotInstalled<H>(state: RaftState<H>, index: LogIndex): void {
  const meta = state.installing?.meta;
  assert(meta !== undefined && meta.index === index, "an installation was asked for", { index });
  assert(state.role !== "leader", "a leader never installs an image");
  state.installing = undefined;
  state.log.restartAt(meta.logStartIndex, meta.logStartPrevTerm);
  state.commitIndex = Math.max(state.commitIndex, index);
  state.appliedIndex = index;
  // An image is taken at or below the durable commit index.
  state.raiseDurableCommit(index);
  if (index > state.floor.index) state.floor = { index, term: meta.term };
  state.membership = sorted(meta.membership);
  state.changeIndexes = [];
  state.resetAgreement();
  state.follower.isAnswerDue = true;
}

/** Leader: the image is with the follower. What it answers, or its next heartbeat, starts the appends. */
export function snapshotSent<H>(state: RaftState<H>, to: ReplicaId, _index: LogIndex): void {
  const { leader } = state;
  const peer = leader?.find(to);
  if (leader === undefined || peer === undefined || peer.state !== "snapshot") return;
  peer.becomeProbe(state.log.firstIndex);
  peer.pause(leader.ticks);
  peer.probeEmpty = true;
}

/** Leader: the image did not get through. Tried again when the follower is heard next. */
export function snapshotFailed<H>(state: RaftState<H>, to: ReplicaId): void {
  const { leader } = state;
  const peer = leader?.find(to);
  if (leader === undefined || peer === undefined || peer.state !== "snapshot") return;
  peer.becomeProbe(peer.match + 1);
  peer.pause(leader.ticks);
}
