// Messages of a partition that failed for a subscription and are not settled: how often, when they may go out again, what
// was said. Pure; part of the partition's replicated state. SubscriptionState changes it, the dispatcher reads it.
import type { KeyedWrite } from "../log/ports.ts";
import type { Offset } from "../model/positions.ts";
import { SUBSCRIPTION_LIMITS } from "../model/subscription.ts";
import type { DeadUpdate, FailedAttempt, FailUpdate } from "./delivery-commands.ts";
import {
  decodeFailure,
  encodeFailure,
  type Failure,
  offsetKey,
  offsetOfKey,
} from "./delivery-records.ts";

export type { Failure } from "./delivery-records.ts";

/** Attempts that are remembered of one message; the oldest is forgotten first. */
export const ATTEMPTS_KEPT = 16;

/** What is stored of a count that goes on for ever. */
const FAILED_MAX = 0xffff_ffff;

/**
 * Characters of error texts that one table keeps. Beyond, further attempts are kept without their texts until some are
 * settled: 100,000 messages that failed 16 times could say 400 MB.
 */
export const ERROR_CHARACTERS_MAX = 16 * 1024 * 1024;

export class FailureTable {
  readonly #failures = new Map<Offset, Failure>();
  readonly #changed = new Set<Offset>();
  readonly #sizeMax: number;
  readonly #charactersMax: number;
  /** In the order in which they died, or were read from disk. */
  readonly #dead = new Set<Offset>();
  #characters = 0;

  constructor(
    sizeMax: number = SUBSCRIPTION_LIMITS.failures,
    charactersMax: number = ERROR_CHARACTERS_MAX,
  ) {
    this.#sizeMax = sizeMax;
    this.#charactersMax = charactersMax;
  }

  get size(): number {
    return this.#failures.size;
  }

  get deadCount(): number {
    return this.#dead.size;
  }

  /** Failures of other messages are refused. */
  get isFull(): boolean {
    return this.#failures.size >= this.#sizeMax;
  }

  get(offset: Offset): Failure | undefined {
    return this.#failures.get(offset);
  }

  /** In offset order; sorted at each call. */
  all(): readonly Failure[] {
    return [...this.#failures.values()].sort((a, b) => a.offset - b.offset);
  }

  /** Those that failed for good, in offset order; sorted at each call. */
  dead(): readonly Failure[] {
    const dead: Failure[] = [];
    for (const offset of this.#dead) {
      const failure = this.#failures.get(offset);
      if (failure !== undefined) dead.push(failure);
    }
    return dead.sort((a, b) => a.offset - b.offset);
  }

  /** Those that failed for good, in no order; goes on with what dies meanwhile. */
  deadOffsets(): Iterator<Offset, undefined> {
    return this.#dead.values();
  }

  /** @returns "no-op" for a dead one, "limit" when there are too many already */
  fail({ offset, notBeforeMs, attempt }: FailUpdate): "done" | "no-op" | "limit" {
    const known = this.#failures.get(offset);
    if (known?.isDead === true) return "no-op";
    if (known === undefined && this.isFull) return "limit";
    this.#put(this.#oneMore(known, offset, attempt), { notBeforeMs });
    return "done";
  }

  /** @returns "no-op" for a dead one, "limit" when there are too many already */
  kill({ offset, attempt }: DeadUpdate): "done" | "no-op" | "limit" {
    const known = this.#failures.get(offset);
    if (known?.isDead === true) return "no-op";
    if (known === undefined && this.isFull) return "limit";
    this.#put(this.#oneMore(known, offset, attempt), { isDead: true, notBeforeMs: 0 });
    return "done";
  }

  /** @returns whether there was one */
  forget(offset: Offset): boolean {
    const known = this.#failures.get(offset);
    if (known === undefined) return false;
    this.#failures.delete(offset);
    this.#characters -= charactersOf(known);
    this.#dead.delete(offset);
    this.#changed.add(offset);
    return true;
  }

  clear(): void {
    for (const offset of this.#failures.keys()) this.#changed.add(offset);
    this.#failures.clear();
    this.#dead.clear();
    this.#characters = 0;
  }

  /** Offsets, in no order; may be changed meanwhile. */
  offsets(): Iterable<Offset> {
    return this.#failures.keys();
  }

  /** What changed since the last call. */
  takeWrites(prefix: string): KeyedWrite[] {
    const writes: KeyedWrite[] = [];
    for (const offset of [...this.#changed].sort((a, b) => a - b)) {
      const key = offsetKey(prefix, offset);
      const failure = this.#failures.get(offset);
      writes.push(
        failure === undefined
          ? { type: "delete", key }
          : { type: "put", key, value: encodeFailure(failure) },
      );
    }
    this.#changed.clear();
    return writes;
  }

  *pairs(prefix: string): Generator<readonly [string, Uint8Array]> {
    for (const failure of this.all()) {
      yield [offsetKey(prefix, failure.offset), encodeFailure(failure)];
    }
  }

  /** @throws TypeError for what pairs() never gives */
  restore(prefix: string, pairs: Iterable<readonly [string, Uint8Array]>): void {
    this.clear();
    for (const [key, value] of pairs) this.#add(decodeFailure(offsetOfKey(prefix, key), value));
    this.#changed.clear();
  }

  /** The same failure with one attempt more; without `attempt` as it is. */
  #oneMore(
    known: Failure | undefined,
    offset: Offset,
    attempt: FailedAttempt | undefined,
  ): Failure {
    const before = known ?? { offset, failed: 0, notBeforeMs: 0, isDead: false, attempts: [] };
    if (attempt === undefined) return before;
    const isRoom = this.#characters + attempt.error.length <= this.#charactersMax;
    const kept = isRoom ? attempt : { ...attempt, error: "" };
    const attempts = [...before.attempts, kept].slice(-ATTEMPTS_KEPT);
    return { ...before, failed: Math.min(before.failed + 1, FAILED_MAX), attempts };
  }

  #put(failure: Failure, changes: Partial<Failure>): void {
    const { offset } = failure;
    this.forget(offset);
    this.#add({ ...failure, ...changes });
    this.#changed.add(offset);
  }

  #add(failure: Failure): void {
    this.#failures.set(failure.offset, failure);
    this.#characters += charactersOf(failure);
    if (failure.isDead) this.#dead.add(failure.offset);
  }
}

function charactersOf({ attempts }: Failure): number {
  let sum = 0;
  for (const { error } of attempts) sum += error.length;
  return sum;
}
