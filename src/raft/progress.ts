// What the leader believes about one other replica, and how it therefore sends to it:
//   probe      the logs' agreement is not known yet: one request at a time;
//   replicate  known: pipelined within the window, or one catch-up at a time when the entries left memory;
//   snapshot   the follower needs entries that are gone: nothing until the image was sent.
// Changed by replication.ts (sending) and responses.ts (answers).
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import { Inflights } from "./inflights.ts";

export type ProgressState = "probe" | "replicate" | "snapshot";

export class Progress {
  readonly replicaId: ReplicaId;
  readonly inflights: Inflights;
  isLearner: boolean;
  state: ProgressState = "probe";
  /** Written there and equal to our log up to here. */
  match: LogIndex = 0;
  /** Flushed there up to here; ≤ match. */
  durable: LogIndex = 0;
  /** First entry of the next request. */
  next: LogIndex;
  /** An unanswered probe or catch-up is under way: nothing else goes meanwhile. */
  isPaused = false;
  pausedAtTick = 0;
  /** The last probe went unanswered: ask again without entries, they may be on their way. */
  probeEmpty = false;
  /** Entries that the probe under way carries: last index (0: none) and bytes. */
  probeLast: LogIndex = 0;
  probeBytes = 0;
  /** Largest commit index told by an append request. */
  sentCommit: LogIndex = 0;
  /** Up to where a flush was asked for. */
  flushAskedTo: LogIndex = 0;
  /** Highest confirmed read round. */
  readRound = 0;
  /** Answers from this round on prove that the follower knows the retiring leader's retireIndex committed; 0: none. */
  toldRound = 0;
  /** 0: not heard of yet in this term. */
  incarnation = 0;
  /** It may have lost what it acknowledged (recovering.ts). */
  recovering = false;
  /** It can not read all of its entries (damage.ts). */
  damaged = false;
  /** Once this round is confirmed, `fenceIndex` is its fence; 0: none was opened for its incarnation. */
  fenceRound = 0;
  fenceIndex: LogIndex = 0;
  /** Leader's tick when it was heard last; −1: never. */
  heardAtTick = -1;
  /** Leader's tick when match grew or the window began to fill. */
  movedAtTick = 0;
  /** Grows while resends bring nothing, so that a stuck disk is not flooded. */
  stallFactor = 1;

  constructor(
    replicaId: ReplicaId,
    isLearner: boolean,
    next: LogIndex,
    window: { readonly countMax: number; readonly bytesMax: number },
  ) {
    this.replicaId = replicaId;
    this.isLearner = isLearner;
    this.next = next;
    this.inflights = new Inflights(window.countMax, window.bytesMax);
  }

  /** It may be asked to take the leadership over. */
  get isFitToLead(): boolean {
    return !this.isLearner && !this.recovering && !this.damaged;
  }

  becomeProbe(next: LogIndex): void {
    this.state = "probe";
    this.next = Math.max(next, this.match + 1);
    this.inflights.clear();
    this.isPaused = false;
    this.probeEmpty = false;
    this.probeLast = 0;
  }

  /** The probe was accepted: what it carried need not be sent again, it will be acknowledged when it is on disk. */
  acceptProbe(): void {
    const { probeLast, probeBytes } = this;
    this.becomeReplicate();
    if (probeLast <= this.match) return;
    this.inflights.add(probeLast, probeBytes);
    this.next = probeLast + 1;
  }

  becomeReplicate(): void {
    this.state = "replicate";
    this.next = this.match + 1;
    this.inflights.clear();
    this.isPaused = false;
    this.probeEmpty = false;
    this.probeLast = 0;
  }

  becomeSnapshot(): void {
    this.state = "snapshot";
    this.inflights.clear();
    this.isPaused = false;
  }

  pause(tick: number): void {
    this.isPaused = true;
    this.pausedAtTick = tick;
  }

  /** The replica came back as another incarnation: nothing believed about the former one holds. */
  restart(incarnation: number, next: LogIndex): void {
    this.incarnation = incarnation;
    this.match = 0;
    this.durable = 0;
    this.sentCommit = 0;
    this.flushAskedTo = 0;
    this.toldRound = 0;
    this.recovering = false;
    this.damaged = false;
    this.fenceRound = 0;
    this.fenceIndex = 0;
    this.stallFactor = 1;
    this.becomeProbe(next);
  }
}
