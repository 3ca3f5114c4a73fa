// Producer sessions: anonymous ones from a block of ids that this node reserved, named ones from
// the metadata group. The Produce service calls it. Ids of an unused rest of a block are lost with
// the process; that is harmless.
import { BrokerError } from "../model/errors.ts";
import type { NodeId, ProducerId } from "../model/ids.ts";
import { PRODUCER_NAME_CHARACTERS_MAX } from "./metadata-commands.ts";
import { numberOf } from "./metadata-reply.ts";
import type { ControllerClient } from "./ports.ts";

/** Ids reserved at a time; a session uses two. */
export const PRODUCER_ID_BLOCK = 1000;
/** Sessions that wait for a block or a name at once. Beyond: OVERLOADED. */
export const PRODUCER_OPENINGS_MAX = 1000;

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
   * @param name empty: anonymous; otherwise earlier sessions of that name are fenced
   * @throws BrokerError INVALID_REQUEST | OVERLOADED | what the way to the metadata leader throws
   */
  async open(name: string): Promise<ProducerSession> {
    if (name.length > PRODUCER_NAME_CHARACTERS_MAX) {
      throw new BrokerError("INVALID_REQUEST", "the producer name is too long", {
        field: "name",
        limit: PRODUCER_NAME_CHARACTERS_MAX,
      });
    }
    if (this.#waiting >= PRODUCER_OPENINGS_MAX) {
      throw new BrokerError("OVERLOADED", "too many producer sessions are being opened", {
        limit: "producerOpenings",
      });
    }
    this.#waiting += 1;
    try {
      return name === "" ? await this.#openAnonymous() : await this.#openNamed(name);
    } finally {
      this.#waiting -= 1;
    }
  }

  async #openNamed(name: string): Promise<ProducerSession> {
    const result = await this.#controller.propose({ type: "open-producer", name });
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
