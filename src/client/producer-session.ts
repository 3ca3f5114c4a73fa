// Producer sessions: the ids under which brokers recognise batches that are sent again. One session per class of sends
// (acks and flush), because every lane of a partition needs an id of its own there. Opened when first needed.
//
// A name is opened again only in exchange for the session that this producer had: when a later producer has taken the name
// over, that is refused (PRODUCER_FENCED), and the later one keeps it. A token tells the brokers that a repetition is one.
import type { Random } from "../base/random.ts";
import { PRODUCER_NAME_CHARACTERS_MAX, PROTOCOL_VERSION_MAX } from "../model/limits.ts";
import type { OpenProducerRequest } from "../rpc/generated/flotilla-v1.ts";
import { produceService } from "../rpc/methods.ts";
import { asFlotillaError, FlotillaError } from "./flotilla-error.ts";
import type { UnaryCaller } from "./unary-caller.ts";

export interface ProducerSession {
  /** For acks=all: gapless. */
  readonly producerId: number;
  /** For acks=leader and none: only increasing. */
  readonly weakProducerId: number;
  readonly epoch: number;
}

/** Told once: the session, or why there is none. */
export type SessionWaiter = (session: ProducerSession | undefined, error?: FlotillaError) => void;

/** One attempt to open a session; lanes ask again as long as their batches may still be sent. */
const OPEN_TIMEOUT_MS = 10_000;
/** What a class of sends adds to the name is never longer (producer-topic.ts). */
const SUFFIX_CHARACTERS_MAX = "#leader-topic".length;
const NAME_CHARACTERS_MAX = PRODUCER_NAME_CHARACTERS_MAX - SUFFIX_CHARACTERS_MAX;

export class ProducerSessions {
  readonly #caller: UnaryCaller;
  readonly #random: Random;
  readonly #name: string;
  readonly #signal: AbortSignal;
  readonly #current = new Map<string, ProducerSession>();
  /** Of openings without a definite answer yet: kept over all attempts, or a lost answer would look like a later producer. */
  readonly #tokens = new Map<string, string>();
  readonly #waiting = new Map<string, SessionWaiter[]>();

  /**
   * @param name stable name: a later producer of that name fences this one; "" for none
   * @throws FlotillaError INVALID_REQUEST: it is too long
   */
  constructor(caller: UnaryCaller, random: Random, name: string, signal: AbortSignal) {
    this.#caller = caller;
    this.#random = random;
    this.#name = checkedName(name);
    this.#signal = signal;
  }

  /**
   * A session of a class.
   * @param suffix names the class; "" is the producer's own
   * @param stale a session that must not be used any more
   */
  obtain(suffix: string, stale: ProducerSession | undefined, waiter: SessionWaiter): void {
    const current = this.#current.get(suffix);
    if (current !== undefined && current !== stale) {
      waiter(current);
      return;
    }
    const waiting = this.#waiting.get(suffix);
    if (waiting !== undefined) {
      waiting.push(waiter);
      return;
    }
    this.#waiting.set(suffix, [waiter]);
    void this.#open(suffix);
  }

  async #open(suffix: string): Promise<void> {
    const request = this.#request(suffix);
    let session: ProducerSession | undefined;
    let failure: FlotillaError | undefined;
    try {
      session = await this.#caller.call({
        method: produceService.openProducer,
        target: { kind: "any" },
        request: () => request,
        timeoutMs: OPEN_TIMEOUT_MS,
        signal: this.#signal,
      });
      this.#current.set(suffix, session);
      this.#tokens.delete(suffix);
    } catch (error) {
      failure = asFlotillaError(error, "not-applied");
    }
    const waiting = this.#waiting.get(suffix) ?? [];
    this.#waiting.delete(suffix);
    for (const waiter of waiting) waiter(session, failure);
  }

  #request(suffix: string): OpenProducerRequest {
    const protocolVersion = PROTOCOL_VERSION_MAX;
    if (this.#name === "") return { name: "", protocolVersion, token: "" };
    const token = this.#tokens.get(suffix) ?? this.#random.uuid();
    this.#tokens.set(suffix, token);
    const previous = this.#current.get(suffix);
    return { name: this.#name + suffix, protocolVersion, token, previous };
  }
}

/** Checked for all classes of sends, or a name would be refused when the first send of another class comes. */
function checkedName(name: string): string {
  if (name.length <= NAME_CHARACTERS_MAX) return name;
  const text = `a producer's name has at most ${NAME_CHARACTERS_MAX} characters, not ${name.length}`;
  throw new FlotillaError("INVALID_REQUEST", text, { field: "name", limit: NAME_CHARACTERS_MAX });
}
