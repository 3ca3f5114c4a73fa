// Whether a message that is settled died: looks for its letter in the dead letter topic, by where the message died first.
// Part of SubscriptionAdmin.explain(): the leader of the message's own partition forgets the dead once they are moved.
import { isBrokerError } from "../model/errors.ts";
import { PAGE_SIZE_MAX } from "../model/limits.ts";
import { deadLetterLedgerOf, REDRIVE_PREFIX } from "../model/subscription.ts";
import type { DeadLetter, ExplainResponse } from "../rpc/generated/flotilla-v1.ts";
import { adminService, deadLetterService, subscriptionService } from "../rpc/methods.ts";
import type { ClientDeps } from "./client-deps.ts";
import type { MessageName } from "./subscription-partitions.ts";
import { CALL_TIMEOUT_MS_DEFAULT, type CallSettings, type UnaryCaller } from "./unary-caller.ts";

/**
 * Calls of one search, over all partitions; a broker looks at about 2 MiB of the log in each. Beyond: the message stays
 * "settled", and the sentence says that the search was not complete.
 */
export const LETTER_CALLS_MAX = 64;

/** Where the letter of a message stands, and why it is there. */
export interface LetterOfMessage
  extends Pick<DeadLetter, "offset" | "diedMs" | "reason" | "error" | "redriven" | "open"> {
  /** Topic of the dead letters. */
  readonly topic: string;
  readonly partition: number;
}

export interface MessageExplanation extends ExplainResponse {
  /** Only of messages that died and stand in the dead letter topic: the newest letter, an open one first. */
  readonly deadLetter?: LetterOfMessage;
}

interface Found {
  readonly place: LetterOfMessage;
  readonly letter: DeadLetter;
}

export class DeadLetterSearch {
  readonly #deps: ClientDeps;
  readonly #caller: UnaryCaller;

  constructor(deps: ClientDeps, caller: UnaryCaller) {
    this.#deps = deps;
    this.#caller = caller;
  }

  /**
   * What the leader told about a settled message, or that it died. Never fails because of dead letters that can not be asked
   * for: then the message is settled, and the sentence says what is not known.
   *
   * @throws FlotillaError CANCELLED
   */
  async explained(
    subscription: string,
    message: MessageName,
    told: ExplainResponse,
    settings: CallSettings,
  ): Promise<MessageExplanation> {
    if (message.topic.startsWith(REDRIVE_PREFIX)) {
      return withDoubt(told, "Whether it died again is told of the message that died first");
    }
    const name = { subscription, topic: "" };
    try {
      name.topic = (await this.#topicOf(subscription, settings)) ?? "";
      if (name.topic === "") return told;
      const { found, isComplete } = await this.#search(name, message, settings);
      if (found !== undefined) return deadOf(told, found, subscription);
      const part = `its letter is not in the part of ${name.topic} that was looked through`;
      return isComplete ? told : withDoubt(told, `Whether it died is not known: ${part}`);
    } catch (error) {
      if (!isBrokerError(error) || isBrokerError(error, "CANCELLED")) throw error;
      // Without the topic there is no letter.
      if (isBrokerError(error, "UNKNOWN_TOPIC_OR_PARTITION")) return told;
      return withDoubt(told, "Whether it died is not known: its dead letters gave no answer");
    }
  }

  /** Of its dead letters; undefined: it has none. */
  async #topicOf(name: string, settings: CallSettings): Promise<string | undefined> {
    const { subscription } = await this.#caller.call({
      ...settings,
      method: subscriptionService.describeSubscription,
      target: { kind: "any" },
      request: () => ({ name }),
    });
    const { deadLetter } = subscription?.definition ?? {};
    return deadLetter?.enabled === true ? deadLetter.topic : undefined;
  }

  async #search(
    { subscription, topic }: { readonly subscription: string; readonly topic: string },
    message: MessageName,
    settings: CallSettings,
  ): Promise<{ readonly found: Found | undefined; readonly isComplete: boolean }> {
    const { clock, metadata } = this.#deps;
    const untilMs = clock.monotonicMs() + (settings.timeoutMs ?? CALL_TIMEOUT_MS_DEFAULT);
    const described = await this.#caller.call({
      ...settings,
      method: adminService.describeTopic,
      target: { kind: "any" },
      request: () => ({ name: topic }),
    });
    const filter = filterFor(message);
    const wish = { limit: PAGE_SIZE_MAX, openOnly: false, withValues: false };
    const partitions = described.topic?.partitions ?? 0;
    let calls = 0;
    let found: Found | undefined;
    for (let partition = 0; partition < partitions; partition += 1) {
      for (let fromOffset = 0; ; ) {
        const leftMs = untilMs - clock.monotonicMs();
        if (calls >= LETTER_CALLS_MAX || leftMs <= 0) return { found, isComplete: false };
        calls += 1;
        const page = await this.#caller.call({
          signal: settings.signal,
          timeoutMs: leftMs,
          method: deadLetterService.listDeadLetters,
          target: { kind: "leader", topic, partition },
          request: () => {
            const topicId = metadata.topic(topic)?.topicId ?? "";
            return { subscription, topicId, partition, filter, fromOffset, ...wish };
          },
        });
        for (const letter of page.letters) found = newer(found, letter, topic, partition);
        fromOffset = page.nextOffset;
        if (fromOffset >= page.highWatermark) break;
      }
    }
    return { found, isComplete: true };
  }
}

/** Names of topics have no quotation marks; what is no such name must not be more than a name. */
function filterFor({ offset, partition, topic }: MessageName): string {
  const name = topic.replaceAll("'", "''");
  const expression = `$topic = '${name}' AND $partition = ${partition} AND $offset = ${offset}`;
  return JSON.stringify({ kind: "sql", expression });
}

/** A message that was redriven and died again has several letters: what holds is the last one, wherever it stands. */
function newer(
  before: Found | undefined,
  letter: DeadLetter,
  topic: string,
  partition: number,
): Found {
  const isOlder =
    before !== undefined &&
    (before.letter.open === letter.open
      ? before.letter.diedMs > letter.diedMs
      : before.letter.open);
  if (isOlder) return before;
  const { diedMs, error, offset, open, reason, redriven } = letter;
  return { letter, place: { topic, partition, offset, diedMs, reason, error, redriven, open } };
}

function withDoubt(told: ExplainResponse, text: string): ExplainResponse {
  return { ...told, sentence: `${told.sentence} ${text}.` };
}

function deadOf(
  told: ExplainResponse,
  { letter, place }: Found,
  subscription: string,
): MessageExplanation {
  const { attempts: failures, failed } = letter;
  const sentence = sentenceOf(place, failed, subscription);
  // The filter of now says nothing about why it is done.
  return { ...told, fate: "dead", filter: "", failed, failures, sentence, deadLetter: place };
}

function sentenceOf(
  { diedMs, error, offset, open, partition, reason, topic }: LetterOfMessage,
  failed: number,
  subscription: string,
): string {
  const why = error === "" ? reason : `${reason}: ${error}`;
  const where = `its letter stands in ${topic}/${partition} at offset ${offset}`;
  const ledger = deadLetterLedgerOf(subscription);
  const after = open ? "" : `, dealt with: it was redriven, or acknowledged in ${ledger}`;
  const times = failed === 0 ? "" : ` It failed ${failed === 1 ? "once" : `${failed} times`}.`;
  const when = new Date(diedMs).toISOString();
  return `It failed for good at ${when} (${why}), and ${where}${after}.${times}`;
}
