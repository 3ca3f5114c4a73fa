// One topic as a producer sees it: its lanes, or the messages that wait until the topic's metadata is known.
import type { Acks, Flush } from "../model/durability.ts";
import { isForbiddenHeader } from "../model/headers.ts";
import { BATCH_BYTES_MAX } from "../model/limits.ts";
import { BATCH_HEADER_BYTES } from "../model/record-batch.ts";
import type { RecordHeader } from "../model/record-batch-builder.ts";
import { RecordWalker, readHeaders } from "../model/record-batch-decoder.ts";
import { FlotillaError } from "./flotilla-error.ts";
import type { LaneHost } from "./lane-host.ts";
import { Partitioner } from "./partitioner.ts";
import { ProducerLane } from "./producer-lane.ts";
import type { SendBatch, SendCallback } from "./send-batch.ts";
import type { TopicRoute } from "./topic-route.ts";

/** What is sent. */
export interface OutgoingMessage {
  readonly topic: string;
  /** Decides the partition; records of one key keep their order. At most 4096 bytes. */
  readonly key?: Uint8Array | string | undefined;
  /** Undefined or null: a tombstone. */
  readonly value?: Uint8Array | string | null | undefined;
  readonly headers?: readonly OutgoingHeader[] | undefined;
  /** Overrides the key's choice. */
  readonly partition?: number | undefined;
  /** Ms since 1970; default: now. */
  readonly timestampMs?: number | undefined;
}

export interface OutgoingHeader {
  readonly name: string;
  readonly value: Uint8Array | string;
}

/** How one message is to be sent; what is missing is the producer's, then the topic's. */
export interface SendClass {
  readonly acks?: Acks | undefined;
  /** May only strengthen the topic's. */
  readonly flush?: Flush | undefined;
}

const ACKS: readonly Acks[] = ["all", "leader", "none"];
const FLUSHES: readonly (Flush | undefined)[] = [undefined, "sync", "async"];

export class ProducerTopic {
  readonly route: TopicRoute;
  readonly #host: LaneHost<ProducerLane>;
  readonly #defaults: SendClass;
  readonly #partitioner: Partitioner;
  /** By class of sends, then by partition. */
  readonly #lanes: (ProducerLane | undefined)[][] = [];

  constructor(host: LaneHost<ProducerLane>, route: TopicRoute, defaults: SendClass) {
    this.#host = host;
    this.route = route;
    this.#defaults = defaults;
    this.#partitioner = new Partitioner(route, host.deps.random);
  }

  *lanes(): Generator<ProducerLane> {
    for (const lanes of this.#lanes) {
      for (const lane of lanes ?? []) if (lane !== undefined) yield lane;
    }
  }

  /**
   * Puts a message into its lane. @returns encoded bytes
   * @throws BrokerError INVALID_REQUEST, RECORD_TOO_LARGE
   */
  append(message: OutgoingMessage, send: SendClass, nowMs: number, done: SendCallback): number {
    const { key: keyText, partition: wanted } = message;
    const key = typeof keyText === "string" ? Buffer.from(keyText) : keyText;
    const value = message.value ?? undefined;
    const bytes = (key === undefined ? 0 : key.length) + (value === undefined ? 0 : value.length);
    this.#checkSize(bytes);
    let partition: number;
    if (wanted !== undefined) partition = this.#checkPartition(wanted);
    else if (key !== undefined) partition = this.#partitioner.ofKey(key);
    else partition = this.#partitioner.withoutKey(bytes);
    const { headers } = message;
    const checked =
      headers === undefined || headers.length === 0 ? undefined : checkHeaders(headers);
    return this.#laneOf(partition, send).append(
      key,
      value,
      checked,
      message.timestampMs ?? nowMs,
      wanted !== undefined,
      done,
    );
  }

  /** Records that follow their keys go to the lanes of the present layout. @returns encoded bytes */
  reappend(from: ProducerLane, batch: SendBatch): number {
    const bytes = batch.builder?.finish() ?? batch.bytes;
    const { acks, flush, partition: former } = from.place;
    const walker = new RecordWalker(bytes);
    let appended = 0;
    for (let i = 0; walker.next(); i += 1) {
      const key = walker.key();
      const owner = key === undefined ? former : this.#partitioner.ofKey(key);
      const headers = readHeaders(bytes, walker.headersFrom);
      const done = batch.done[i];
      if (done === undefined) continue;
      const lane = this.#laneOf(owner, { acks, flush });
      appended += lane.append(key, walker.value(), headers, walker.timestampMs, false, done);
    }
    return appended;
  }

  #laneOf(partition: number, send: SendClass): ProducerLane {
    const acks = send.acks ?? this.#defaults.acks ?? this.route.acks;
    const flush = send.flush ?? this.#defaults.flush;
    const classIndex = ACKS.indexOf(acks) * FLUSHES.length + FLUSHES.indexOf(flush);
    return this.#lanes[classIndex]?.[partition] ?? this.#addLane(classIndex, partition);
  }

  #addLane(classIndex: number, partition: number): ProducerLane {
    const acks = ACKS[Math.floor(classIndex / FLUSHES.length)] ?? "all";
    const flush = FLUSHES[classIndex % FLUSHES.length];
    // Weak classes share one id per session, so each has a session of its own whatever the defaults become later.
    const isDefault = acks === "all" && flush === this.#defaults.flush;
    const sessionSuffix = isDefault ? "" : `#${acks}-${flush ?? "topic"}`;
    const place = { route: this.route, partition, acks, flush, sessionSuffix };
    const lane = new ProducerLane(this.#host, place);
    this.#lanes[classIndex] ??= [];
    (this.#lanes[classIndex] ?? [])[partition] = lane;
    return lane;
  }

  #checkPartition(partition: number): number {
    const count = this.route.partitionCount;
    if (Number.isInteger(partition) && partition >= 0 && partition < count) return partition;
    throw new FlotillaError("INVALID_REQUEST", `partition ${partition} does not exist`, {
      field: "partition",
      limit: count - 1,
    });
  }

  /** What is surely too large is refused here; the broker decides where framing matters. */
  #checkSize(bytes: number): void {
    const bytesMax = Math.min(this.route.messageBytesMax, BATCH_BYTES_MAX);
    if (bytes + BATCH_HEADER_BYTES <= bytesMax) return;
    throw new FlotillaError("RECORD_TOO_LARGE", `a record of ${bytes} bytes is too large`, {
      bytesMax,
    });
  }
}

function checkHeaders(headers: readonly OutgoingHeader[]): readonly RecordHeader[] {
  return headers.map(({ name, value }) => {
    if (isForbiddenHeader(name)) {
      throw new FlotillaError("INVALID_REQUEST", `header name "${name}" is reserved`, {
        field: "headers.name",
        limit: "names beginning with flotilla- have fixed meanings",
      });
    }
    return { name, value: typeof value === "string" ? Buffer.from(value) : value };
  });
}
