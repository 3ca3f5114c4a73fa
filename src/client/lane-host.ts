// What a lane is made for, and what it needs of its producer. Implemented by producer.ts.
import type { Acks, Flush } from "../model/durability.ts";
import type { BatchMemory } from "../model/memory-pool.ts";
import type { ClientDeps } from "./client-deps.ts";
import type { FlotillaError } from "./flotilla-error.ts";
import type { ProduceLink } from "./produce-link.ts";
import type { ProducerSession, SessionWaiter } from "./producer-session.ts";
import type { SendBatch } from "./send-batch.ts";
import type { TopicRoute } from "./topic-route.ts";

/** What lanes need of their producer. */
export interface LaneHost<Lane> {
  readonly deps: ClientDeps;
  readonly memory: BatchMemory;
  readonly deliveryTimeoutMs: number;
  readonly batchBytes: number;
  readonly batchBytesMax: number;
  linkTo(endpoint: string): ProduceLink;
  obtainSession(lane: Lane, stale: ProducerSession | undefined, waiter: SessionWaiter): void;
  /** A batch left its lane for good: its memory is free. */
  onReleased(batch: SendBatch): void;
  /** The layout changed: records that follow their keys find their lanes again. */
  reroute(lane: Lane, batches: readonly SendBatch[]): void;
  /** Another session of the same name took over: this producer is at its end. */
  onFenced(error: FlotillaError): void;
}

export interface LanePlace {
  readonly route: TopicRoute;
  readonly partition: number;
  readonly acks: Acks;
  /** As the send asks for; undefined: the topic's. */
  readonly flush: Flush | undefined;
  /** Names the class of sends that shares a session. */
  readonly sessionSuffix: string;
}
