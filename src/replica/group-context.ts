// What the parts of one replica share: its identity, its stores, and the few things they may ask of the replica around
// them. Built by the replica, handed to each part; a part never sees another part's insides.
import type { Clock } from "../base/clock.ts";
import type { DamageError, GroupLog, ImageStore, KeyedStore } from "../log/ports.ts";
import type { Frame } from "../model/entry-frame.ts";
import type { GroupId, ReplicaId } from "../model/ids.ts";
import type { Message } from "../raft/messages.ts";
import type { RaftCore } from "../raft/raft.ts";
import type { Logger, PeerTransport, StateMachine } from "./ports.ts";
import type { ReadLimit } from "./read-limit.ts";
import type { ReplicaMetrics } from "./replica-metrics.ts";

export interface GroupContext {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  readonly core: RaftCore<Frame>;
  readonly log: GroupLog;
  readonly keyed: KeyedStore;
  readonly images: ImageStore;
  readonly stateMachine: StateMachine;
  readonly transport: PeerTransport;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: ReplicaMetrics;
  readonly readLimit: ReadLimit;

  /** False once the replica is closing or failed: whoever comes back from an await stops. */
  isLive(): boolean;
  /** An image is being installed: nobody may read or write the log until it is done. */
  isLogReplaced(): boolean;
  /** Asks for a turn: ready processing, apply, sending. */
  wake(): void;
  /** Queues a message for the end of the turn; who is not inside one calls wake(), too. */
  send(message: Message<Frame>): void;
  /** Reports a failure: damage stops this replica, anything else stops the node. */
  fail(error: unknown): void;
  /** Runs background work that the replica waits for when it closes; a failure fails the replica. */
  spawn(name: string, run: (signal: AbortSignal) => Promise<void>): void;
  /** A read of the log met damage: the replica sees to it. Whoever needed the entries tries again later. */
  damaged(error: DamageError): void;
}
