// What the commands about dead letters need from the SDK. Part of client-port.ts. Types only.
import type { Filter } from "../model/filter.ts";
import type { FailedAttempt } from "./subscription-port.ts";

export interface ShownDeadLetter {
  /** Of the dead letters. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly diedMs: number;
  readonly originTopic: string;
  readonly originPartition: number;
  readonly originOffset: number;
  readonly timestampMs: number;
  readonly reason: string;
  readonly error: string;
  readonly failed: number;
  readonly attempts: readonly FailedAttempt[];
  readonly redriven: number;
  readonly open: boolean;
  readonly key?: Uint8Array | undefined;
  readonly value?: Uint8Array | undefined;
  readonly valueBytes: number;
  readonly headers: readonly { readonly name: string; readonly value: Uint8Array }[];
}

export interface RedriveReport {
  readonly outcome: "running" | "done" | "dry-run" | "canary-died" | "canary-waiting";
  readonly lookedAt: number;
  readonly matching: number;
  readonly redriven: number;
  readonly duplicates: number;
  readonly held: number;
  readonly canary?: {
    readonly sent: number;
    readonly settled: number;
    readonly died: number;
    readonly parked: number;
    readonly waiting: number;
  };
}

export interface DeadLetterChoice {
  /** As JSON text, or as data. */
  readonly filter: Filter | string | undefined;
  /** undefined: all. */
  readonly partition: number | undefined;
}

export interface RedriveWish extends DeadLetterChoice {
  readonly ratePerSecond: number | undefined;
  readonly dryRun: boolean;
  readonly canary: number | undefined;
  readonly canaryTimeoutMs: number | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (report: RedriveReport) => void;
}

export interface DeadLettersPort {
  /** In the order of partitions and deaths. */
  list(
    name: string,
    wish: DeadLetterChoice & { readonly all: boolean; readonly fromOffset: number | undefined },
  ): AsyncIterable<ShownDeadLetter>;
  /** With its value. */
  get(
    name: string,
    place: { readonly partition: number; readonly offset: number },
  ): Promise<ShownDeadLetter>;
  redrive(name: string, wish: RedriveWish): Promise<RedriveReport>;
}
