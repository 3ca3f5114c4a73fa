import type { Acks, Flush } from "../../src/model/durability.ts";
import type { SubscriptionMode } from "../../src/model/subscription.ts";

/** Command line of every subject. */
export interface BenchOptions {
  readonly acks: Acks;
  readonly flush: Flush;
  readonly size: number;
  readonly partitions: number;
  readonly seconds: number;
  readonly rate: number;
  readonly keys: number;
  readonly mode: SubscriptionMode;
  readonly messages: number;
  readonly consumers: number;
  readonly rounds: number;
  readonly verify: boolean;
  readonly directory?: string;
  /** Extra Node.js or V8 flags of the brokers. */
  readonly brokerFlag?: readonly string[];
  readonly json: boolean;
}

/** What a subject reports; numbers rounded by the report. */
export type BenchResult = Record<string, number | string | boolean>;
