// Clients that look at a topic while things go wrong: they follow it by unary fetches or by the SDK's stream, or ask where
// it ends. Begun by the workload.
import { sleep } from "../../src/base/clock.ts";
import { type Client, isBrokerError } from "../../src/client/index.ts";
import type { BrokerError } from "../../src/model/errors.ts";
import { sdkClient } from "./clients.ts";
import type { Operations } from "./operations.ts";
import type { TopicPlan } from "./plan/seed-plan.ts";
import type { PublishClient } from "./publish-client.ts";
import type { SimCluster } from "./sim-cluster.ts";

const READ_DEADLINE_MS = 5000;
const READ_PAUSE_MS = 400;
const ASK_DEADLINE_MS = 2000;
const ASK_PAUSE_MS = 300;
/** Check-quorum takes less, so nobody refuses for longer what was committed. */
const DEPOSED_MS_MAX = 4000;

/** Of a reader that may be told that what it read is gone. */
interface DoubtfulPlace {
  readonly topic: string;
  readonly partition: number;
  next: number;
  /** Of the record before, as far as this reader object read it; 0: it has not. */
  lastEpoch: number;
}

export class Readers {
  /** Readers that were told that what they had read is gone. */
  divergences = 0;
  readonly #cluster: SimCluster;
  readonly #operations: Operations;
  readonly #plain: PublishClient;
  readonly #sdk: Client;
  readonly #abort = new AbortController();

  constructor(cluster: SimCluster, operations: Operations, plain: PublishClient, sdk: Client) {
    this.#cluster = cluster;
    this.#operations = operations;
    this.#plain = plain;
    this.#sdk = sdk;
  }

  stop(): void {
    this.#abort.abort(new Error("the workload ends"));
  }

  async follow(topic: string, partition: number): Promise<void> {
    const { clock } = this.#cluster.clientHost;
    const reader = `follower-${topic}-${partition}`;
    let offset = 0;
    let refusedSinceMs: number | undefined;
    while (!this.#abort.signal.aborted) {
      try {
        const from = offset;
        const beganMs = this.#cluster.world.nowMs;
        const page = await this.#plain.fetch(topic, partition, from, READ_DEADLINE_MS);
        offset = page.nextOffset;
        const answer = { from, next: offset, beganMs, records: page.messages };
        this.#operations.polled(reader, topic, partition, answer);
        refusedSinceMs = undefined;
      } catch (error) {
        if (!isBrokerError(error)) throw error;
        if (error.reason === "OFFSET_OUT_OF_RANGE") {
          // A deposed leader that has not noticed yet may be behind what the reader saw.
          refusedSinceMs ??= clock.monotonicMs();
          if (clock.monotonicMs() - refusedSinceMs > DEPOSED_MS_MAX) {
            this.#cluster.violation(`${reader} at ${offset}: ${error.message}`);
          }
        }
      }
      await sleep(clock, READ_PAUSE_MS);
    }
  }

  /** A reader that meets damage ends; its application opens another one where it stopped. */
  async followBySdk(topic: string): Promise<void> {
    const offsets = new Map<number, number>();
    for (let pass = 1; !this.#abort.signal.aborted; pass += 1) {
      try {
        await this.#readOn(topic, `sdk-follower-${topic}-${pass}`, offsets);
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        if (!isBrokerError(error, "LOG_CORRUPT")) throw error;
      }
    }
  }

  /**
   * I29. Power may take what it reads, so the history knows nothing of it: whoever reads on must be told, and nobody may be
   * told before something was lost.
   */
  async followDoubtful(topic: string, partition: number): Promise<void> {
    const { clock } = this.#cluster.sdkHost;
    const place: DoubtfulPlace = { topic, partition, next: 0, lastEpoch: 0 };
    while (!this.#abort.signal.aborted) {
      try {
        await this.#readDoubtful(place);
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        if (!isBrokerError(error)) throw error;
        this.#goBack(place, error);
      }
      await sleep(clock, READ_PAUSE_MS);
    }
  }

  /** I31: what comes back must not be older than anything acknowledged before. The checker compares. */
  async askBounds({ name: topic, partitions }: TopicPlan): Promise<void> {
    const { history, sdkHost, world } = this.#cluster;
    // Its own view of who leads: one that sends as well learns of new leaders too soon to meet an old one.
    const admin = sdkClient(this.#cluster).admin();
    for (let turn = 0; !this.#abort.signal.aborted; turn += 1) {
      const partition = turn % partitions;
      const beganMs = world.nowMs;
      try {
        const answer = await admin.listOffsets(topic, partition, 0, { timeoutMs: ASK_DEADLINE_MS });
        const { highWatermark, leaderEpoch, logStartOffset } = answer;
        const bounds = { topic, partition, leaderEpoch, logStartOffset, highWatermark };
        history.add({ type: "bounds", atMs: world.nowMs, beganMs, ...bounds });
      } catch (error) {
        if (!isBrokerError(error)) throw error;
      }
      await sleep(sdkHost.clock, ASK_PAUSE_MS);
    }
  }

  async #readDoubtful(place: DoubtfulPlace): Promise<void> {
    const { signal } = this.#abort;
    const { next, partition, topic } = place;
    const options = { topic, partitions: [partition], from: new Map([[partition, next]]), signal };
    place.lastEpoch = 0;
    for await (const { leaderEpoch, offset } of this.#sdk.reader(options)) {
      const { invariants } = this.#cluster;
      const group = this.#cluster.groupOf(topic, partition);
      if (group !== undefined) {
        if (place.lastEpoch > 0) invariants.readOn(group, place.next - 1, place.lastEpoch);
        invariants.read(group, offset, leaderEpoch);
      }
      place.next = offset + 1;
      place.lastEpoch = leaderEpoch;
    }
  }

  #goBack(place: DoubtfulPlace, error: BrokerError): void {
    const { next, partition, topic } = place;
    if (error.reason === "LOG_CORRUPT") return;
    const group = this.#cluster.groupOf(topic, partition);
    const mayBeGone = group !== undefined && this.#cluster.invariants.isForgiven(group);
    const isTold = error.reason === "DIVERGED" || error.reason === "OFFSET_OUT_OF_RANGE";
    if (!isTold || !mayBeGone) {
      const where = `${topic}/${partition}@${next}`;
      this.#cluster.violation(`a reader at ${where} was told ${error.reason}: ${error.message}`);
    }
    if (error.reason === "DIVERGED") this.divergences += 1;
    const { endOffset } = error.fields;
    place.next = typeof endOffset === "number" ? Math.min(next, endOffset) : 0;
  }

  async #readOn(topic: string, reader: string, offsets: Map<number, number>): Promise<void> {
    const { signal } = this.#abort;
    for await (const message of this.#sdk.reader({ topic, from: offsets, signal })) {
      this.#operations.read(reader, topic, message);
      offsets.set(message.partition, message.offset + 1);
    }
  }
}
