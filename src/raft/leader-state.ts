// What exists only while a replica leads; made at election, dropped at step-down.
import type { ReplicaId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { Progress } from "./progress.ts";

/** Reads that one broadcast of heartbeats confirms. */
export interface ReadRound {
  readonly round: number;
  readonly index: LogIndex;
  readonly readIds: readonly number[];
}

export class LeaderState {
  /** The first entry of this term. Nothing is served before it is committed and applied. */
  readonly noopIndex: LogIndex;
  isReady = false;
  /** Ticks since the election. */
  ticks = 0;
  heartbeatElapsed = 0;
  /** Everybody else in the configuration, ascending by id. */
  peers: readonly Progress[] = [];
  /** Newest membership entry in the log; another one waits until it is applied. */
  changeIndex: LogIndex = 0;
  /** Bytes of own-term entries above the commit index. */
  uncommittedBytes = 0;
  /** A flush was asked for up to here (async groups). */
  flushIndex: LogIndex = 0;
  /** Something changed that may allow or require appends. */
  isSendDue = true;
  isHeartbeatDue = false;
  /** A commit index above this has not been told to all (commitNews: "by-tick"). */
  toldCommit: LogIndex = 0;
  /** It is time to tell it, also without entries. */
  isNewsDue = false;
  /** Reads that have no round yet. */
  openReads: number[] = [];
  rounds: ReadRound[] = [];
  lastRound = 0;
  /** Newest round that a majority answered, as far as it was looked at. */
  confirmedRound = 0;
  /** A recovering follower has no fence yet: a round is wanted. */
  isFenceDue = false;
  /**
   * Present while a leader that is no voter (any more) still leads: only until a majority of the voters know this
   * much to be committed. Stepping down before could leave voters that do not know that they are enough.
   */
  retireIndex: LogIndex | undefined = undefined;

  constructor(noopIndex: LogIndex) {
    this.noopIndex = noopIndex;
  }

  find(id: ReplicaId): Progress | undefined {
    return this.peers.find((peer) => peer.replicaId === id);
  }
}
