// What a leader appended and has not applied yet: the sequences and message ids that the next append must be checked
// against beside the applied state (architecture §7.2). Dropped when leadership ends; trimmed as entries are applied.
import type { ProducerId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import { Fifo } from "./fifo.ts";
import type { StoredMessage } from "./message-id-table.ts";
import type { BatchRecord, RememberedBatches, SequencedBatch } from "./producer-table.ts";

class PendingProducer implements RememberedBatches {
  epoch: number;
  readonly #batches = new Fifo<BatchRecord>();

  constructor(epoch: number) {
    this.epoch = epoch;
  }

  get length(): number {
    return this.#batches.length;
  }

  at(position: number): BatchRecord | undefined {
    return position < 0 ? undefined : this.#batches.at(position);
  }

  push(epoch: number, batch: BatchRecord): void {
    // Batches of the older epoch can not be asked for any more: their producer is fenced.
    if (epoch !== this.epoch) this.#batches.clear();
    this.epoch = epoch;
    this.#batches.push(batch);
  }

  dropUpTo(index: LogIndex): void {
    while ((this.#batches.peek()?.index ?? Number.POSITIVE_INFINITY) <= index) {
      this.#batches.shift();
    }
  }
}

interface PendingEntry {
  readonly index: LogIndex;
  /** 0: none. */
  readonly producerId: ProducerId;
  readonly messageIds: readonly string[];
}

const NO_IDS: readonly string[] = [];

export class AppendOverlay {
  #producers = new Map<ProducerId, PendingProducer>();
  #messages = new Map<string, StoredMessage>();
  #entries = new Fifo<PendingEntry>();

  /** Entries appended and not applied, those without producer and message ids left out. */
  get length(): number {
    return this.#entries.length;
  }

  producer(producerId: ProducerId): RememberedBatches | undefined {
    return this.#producers.get(producerId);
  }

  message(id: string): StoredMessage | undefined {
    return this.#messages.get(id);
  }

  addBatch(batch: SequencedBatch, record: BatchRecord): void {
    const { producerId, producerEpoch } = batch;
    let pending = this.#producers.get(producerId);
    if (pending === undefined) {
      pending = new PendingProducer(producerEpoch);
      this.#producers.set(producerId, pending);
    }
    pending.push(producerEpoch, record);
    this.#entries.push({ index: record.index, producerId, messageIds: NO_IDS });
  }

  /** @param ids in record order, "" where a message has none */
  addMessages(ids: readonly string[], first: StoredMessage): void {
    const { offset, term, index } = first;
    for (const [number, id] of ids.entries()) {
      if (id !== "") this.#messages.set(id, { offset: offset + number, term, index });
    }
    this.#entries.push({ index, producerId: 0, messageIds: ids });
  }

  /** Entries ≤ `index` are in the applied state now. */
  applied(index: LogIndex): void {
    for (;;) {
      const entry = this.#entries.peek();
      if (entry === undefined || entry.index > index) return;
      this.#entries.shift();
      if (entry.producerId !== 0) this.#dropBatches(entry.producerId, index);
      for (const id of entry.messageIds) {
        if ((this.#messages.get(id)?.index ?? 0) <= index) this.#messages.delete(id);
      }
    }
  }

  clear(): void {
    this.#producers = new Map();
    this.#messages = new Map();
    this.#entries = new Fifo();
  }

  #dropBatches(producerId: ProducerId, index: LogIndex): void {
    const pending = this.#producers.get(producerId);
    if (pending === undefined) return;
    pending.dropUpTo(index);
    if (pending.length === 0) this.#producers.delete(producerId);
  }
}
