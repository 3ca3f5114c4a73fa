// Watches the first messages of a redrive: settled by the subscription, dead once more, or parked. Part of DeadLetterAdmin.
import { type Clock, sleep } from "../base/clock.ts";
import { PAGE_SIZE_MAX } from "../model/limits.ts";
import type { RedrivenMessage } from "../rpc/generated/flotilla-v1.ts";
import type { CanaryVerdict, RedriveCalls } from "./dead-letter-redrive.ts";

const LOOK_MS = 200;
const QUESTIONS_MAX = 16;
/** Those of a subscription that is done with a message. */
const DONE_FATES: ReadonlySet<string> = new Set(["settled", "absent"]);

export class DeadLetterCanary {
  readonly #calls: RedriveCalls;
  readonly #clock: Clock;
  /** By partition of the dead letter topic: from where on nothing was looked at. */
  readonly #next: Map<number, number>;
  /** Origins of what died since. */
  readonly #dead = new Set<string>();

  /** @param ends of the redrive: what dies again stands behind them */
  constructor(calls: RedriveCalls, clock: Clock, ends: ReadonlyMap<number, number>) {
    this.#calls = calls;
    this.#clock = clock;
    this.#next = new Map(ends);
  }

  /** Resolves when all are settled, when one died again or parked, or when the time is over. */
  async wait(
    sent: readonly RedrivenMessage[],
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<CanaryVerdict> {
    const untilMs = this.#clock.monotonicMs() + timeoutMs;
    let pending = sent;
    let settled = 0;
    for (;;) {
      const fates = await this.#fatesOf(pending);
      const done = pending.filter((_, at) => DONE_FATES.has(fates[at] ?? ""));
      const parked = fates.filter((fate) => fate === "parked").length;
      // A message is in the dead letter topic before it is settled: whoever died among these is found there now.
      if (done.length > 0) await this.#lookForDead();
      const died = done.filter((message) => this.#dead.has(originOf(message))).length;
      settled += done.length - died;
      pending = pending.filter((message) => !done.includes(message));
      const waiting = pending.length - parked;
      const isOver = this.#clock.monotonicMs() >= untilMs;
      if (died + parked > 0 || pending.length === 0 || isOver) {
        return { sent: sent.length, settled, died, parked, waiting };
      }
      await sleep(this.#clock, LOOK_MS, signal);
    }
  }

  async #fatesOf(messages: readonly RedrivenMessage[]): Promise<readonly string[]> {
    const fates: string[] = [];
    for (let from = 0; from < messages.length; from += QUESTIONS_MAX) {
      const some = messages.slice(from, from + QUESTIONS_MAX);
      const asked = some.map(({ redriveOffset, redrivePartition }) =>
        this.#calls.fateOf(redrivePartition, redriveOffset),
      );
      fates.push(...(await Promise.all(asked)));
    }
    return fates;
  }

  async #lookForDead(): Promise<void> {
    for (const [partition, from] of this.#next) {
      let next = from;
      for (;;) {
        const wish = { limit: PAGE_SIZE_MAX, openOnly: false, withValues: false };
        const page = await this.#calls.list(partition, { ...wish, fromOffset: next });
        for (const letter of page.letters) this.#dead.add(originOf(letter));
        next = page.nextOffset;
        if (next >= page.highWatermark) break;
      }
      this.#next.set(partition, next);
    }
  }
}

function originOf(
  message: Pick<RedrivenMessage, "originTopic" | "originPartition" | "originOffset">,
): string {
  return `${message.originTopic}/${message.originPartition}/${message.originOffset}`;
}
