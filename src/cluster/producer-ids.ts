// Producer sessions: anonymous ones from a block of ids that this node reserved, named ones from
// the metadata group. The Produce service calls it. Ids of an unused rest of a block are lost with
// the process; that is harmless.
import { BrokerError } from "../model/errors.ts";
import type { NodeId, ProducerId } from "../model/ids.ts";
import { PRODUCER_NAME_CHARACTERS_MAX } from "../model/limits.ts";
import { numberOf } from "./metadata-reply.ts";
import type { ControllerClient } from "./ports.ts";
import {
  PRODUCER_EPOCH_MAX,
  PRODUCER_TOKEN_CHARACTERS_MAX,
  type ProducerOpening,
} from "./producer-table.ts";

/** Ids reserved at a time; a session uses two. */
export const PRODUCER_ID_BLOCK = 1000;
/** Sessions that wait for a block or a name at once. Beyond: OVERLOADED. */
export const PRODUCER_OPENINGS_MAX = 1000;

const ONLY_WITH_A_NAME = "only with a name";

export interface ProducerSession {
  /** For acks=all: gapless sequences. */
  readonly producerId: ProducerId;
  /** For acks=leader and none: gaps are allowed after truncation. */
  readonly weakProducerId: ProducerId;
  /** Fences older sessions of the same name; 0 for an anonymous one. */
  readonly epoch: number;
}

export class ProducerIds {
  readonly #nodeId: NodeId;
  readonly #controller: ControllerClient;
  #next: ProducerId = 0;
  /** Exclusive. */
  #end: ProducerId = 0;
  #refill: Promise<void> | undefined;
  #waiting = 0;

  constructor(nodeId: NodeId, controller: ControllerClient) {
    this.#nodeId = nodeId;
    this.#controller = controller;
  }

  /**
   * Opens a session.
   *
   * @param wish an empty name: anonymous; otherwise earlier sessions of that name are fenced. An empty token: none
   * @throws BrokerError INVALID_REQUEST | PRODUCER_FENCED (the name has another session than `previous`) | OVERLOADED |
   * what the way to the metadata leader throws
   */
  async open(wish: ProducerOpening): Promise<ProducerSession> {
    checkOpening(wish);
    if (this.#waiting >= PRODUCER_OPENINGS_MAX) {
      throw new BrokerError("OVERLOADED", "too many producer sessions are being opened", {
        limit: "producerOpenings",
      });
    }
    this.#waiting += 1;
    try {
      return wish.name === "" ? await this.#openAnonymous() : await this.#openNamed(wish);
    } finally {
      this.#waiting -= 1;
    }
  }

  async #openNamed({ name, token, previous }: ProducerOpening): Promise<ProducerSession> {
    const result = await this.#controller.propose({
      type: "open-producer",
      name,
      token: token === "" ? undefined : token,
      previous,
    });
    return {
      producerId: numberOf(result, "producerId"),
      weakProducerId: numberOf(result, "weakProducerId"),
      epoch: numberOf(result, "epoch"),
    };
  }

  async #openAnonymous(): Promise<ProducerSession> {
    while (this.#end - this.#next < 2) {
      // One block at a time, however many wait; a failure is told to all of them.
      this.#refill ??= this.#reserve().finally(() => {
        this.#refill = undefined;
      });
      await this.#refill;
    }
    const producerId = this.#next;
    this.#next += 2;
    return { producerId, weakProducerId: producerId + 1, epoch: 0 };
  }

  async #reserve(): Promise<void> {
    const result = await this.#controller.propose({
      type: "allocate-producer-ids",
      nodeId: this.#nodeId,
      count: PRODUCER_ID_BLOCK,
    });
    this.#next = numberOf(result, "first");
    this.#end = this.#next + numberOf(result, "count");
  }
}

/** @throws BrokerError INVALID_REQUEST */
function checkOpening({ name, token = "", previous }: ProducerOpening): void {
  if (name.length > PRODUCER_NAME_CHARACTERS_MAX) throw bad("name", PRODUCER_NAME_CHARACTERS_MAX);
  // Without a name there is nothing to remember it with: it would promise what is not kept.
  if (name === "" && token !== "") throw bad("token", ONLY_WITH_A_NAME);
  if (token.length > PRODUCER_TOKEN_CHARACTERS_MAX)
    throw bad("token", PRODUCER_TOKEN_CHARACTERS_MAX);
  if (previous === undefined) return;
  if (name === "") throw bad("previous", ONLY_WITH_A_NAME);
  const { producerId, epoch } = previous;
  if (!isWithin(producerId, Number.MAX_SAFE_INTEGER)) {
    throw bad("previous.producerId", Number.MAX_SAFE_INTEGER);
  }
  if (!isWithin(epoch, PRODUCER_EPOCH_MAX)) throw bad("previous.epoch", PRODUCER_EPOCH_MAX);
}

function isWithin(value: number, last: number): boolean {
  return Number.isSafeInteger(value) && value >= 0 && value <= last;
}

function bad(field: string, limit: number | string): BrokerError {
  return new BrokerError("INVALID_REQUEST", `open producer: bad ${field}`, { field, limit });
}
