// A cluster's double for the SDK's tests: brokers in memory that keep the protocol's rules (lanes, refusals, sequences,
// credit) and fail on command. Messages pass through the production codecs; time is virtual.
import type { Clock } from "../../src/base/clock.ts";
import { BrokerError, type ErrorFields, type ErrorReason } from "../../src/model/errors.ts";
import { PRODUCER_BATCH_WINDOW } from "../../src/model/limits.ts";
import { checkBatch, patchBatch, readBatchHeader } from "../../src/model/record-batch.ts";
import { type DecodedRecord, decodeBatch } from "../../src/model/record-batch-decoder.ts";
import { isSequenceAhead, sequenceAfter } from "../../src/model/sequence.ts";
import { initialLayout } from "../../src/model/slots.ts";
import type {
  CursorBatches,
  FetchRequest,
  FetchResponse,
  GetMetadataRequest,
  GetMetadataResponse,
  ListOffsetsRequest,
  OpenCursor,
  OpenLane,
  OpenProducerRequest,
  ProduceRequest,
  ProduceResponse,
} from "../../src/rpc/generated/flotilla-v1.ts";
import type {
  CallOptions,
  Connection,
  Connector,
  MessageStream,
  Method,
} from "../../src/rpc/ports.ts";
import { metadataOf } from "../../src/rpc/status.ts";
import { FakeProducers } from "./fake-producers.ts";

interface StoredBatch {
  readonly producerId: number;
  readonly epoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly bytes: Buffer;
}

export class FakePartition {
  leader = "";
  epoch = 1;
  batches: StoredBatch[] = [];
  nextOffset = 0;
  logStartOffset = 0;
  layoutEpoch = 1;
  /** Refusals of the next batches, in order. `storeFirst`: the batch is stored nevertheless. */
  readonly refusals: {
    readonly reason: ErrorReason;
    readonly fields?: ErrorFields;
    readonly storeFirst?: boolean;
  }[] = [];
  /** Ids that were expired. */
  readonly forgotten = new Set<number>();
  onAppend: () => void = () => undefined;

  records(): DecodedRecord[] {
    return this.batches.flatMap((batch) => decodeBatch(batch.bytes));
  }

  values(): string[] {
    return this.records().map((record) => (record.value ?? Buffer.alloc(0)).toString());
  }

  /** A new leader that lost the last batches. */
  truncate(count: number): void {
    this.batches = this.batches.slice(0, Math.max(0, this.batches.length - count));
    const last = this.batches.at(-1);
    this.nextOffset = last === undefined ? 0 : last.baseOffset + last.recordCount;
  }

  submit(batch: Buffer): {
    readonly baseOffset: number;
    readonly leaderEpoch: number;
    readonly duplicate: boolean;
  } {
    const problem = checkBatch(batch);
    const header = readBatchHeader(batch);
    if (problem !== undefined || header === undefined)
      throw new BrokerError("MALFORMED_BATCH", "bad");
    const refusal = this.refusals.shift();
    if (refusal !== undefined && refusal.storeFirst !== true) throw error(refusal);
    const { producerId, baseSequence, producerEpoch: epoch, recordCount } = header;
    const isWeak = producerId % 2 === 1;
    const mine = this.batches.filter((b) => b.producerId === producerId && b.epoch === epoch);
    const known = this.forgotten.has(producerId) ? [] : mine.slice(-PRODUCER_BATCH_WINDOW);
    const fenced = this.batches.some((b) => b.producerId === producerId && b.epoch > epoch);
    if (fenced) throw new BrokerError("PRODUCER_FENCED", "fenced");
    const original = known.find((b) => b.baseSequence === baseSequence);
    if (original !== undefined) {
      if (original.recordCount !== recordCount)
        throw new BrokerError("INTERNAL", "other batch, same sequence");
      return { ...original, duplicate: true };
    }
    const last = known.at(-1);
    const expected = last === undefined ? 0 : sequenceAfter(last.baseSequence, last.recordCount);
    if (baseSequence !== expected && !(isWeak && isSequenceAhead(baseSequence, expected))) {
      if (last === undefined) throw new BrokerError("UNKNOWN_PRODUCER", "unknown producer");
      if (isSequenceAhead(baseSequence, expected)) {
        throw new BrokerError("SEQUENCE_GAP", `${baseSequence} is not ${expected}`, { expected });
      }
      throw new BrokerError("DUPLICATE_OUT_OF_WINDOW", "too old");
    }
    const bytes = Buffer.from(batch);
    const baseOffset = this.nextOffset;
    const leaderEpoch = this.epoch;
    patchBatch(bytes, baseOffset, leaderEpoch);
    this.batches.push({
      producerId,
      epoch,
      baseSequence,
      recordCount,
      baseOffset,
      leaderEpoch,
      bytes,
    });
    this.forgotten.delete(producerId);
    this.nextOffset += recordCount;
    this.onAppend();
    if (refusal !== undefined) throw error(refusal);
    return { baseOffset, leaderEpoch, duplicate: false };
  }
}

function error(refusal: {
  readonly reason: ErrorReason;
  readonly fields?: ErrorFields;
}): BrokerError {
  return new BrokerError(refusal.reason, `as told: ${refusal.reason}`, refusal.fields);
}

export interface FakeTopic {
  readonly name: string;
  readonly topicId: string;
  readonly partitions: FakePartition[];
  settings: Record<string, string>;
  layoutEpoch: number;
  slots: readonly (readonly { readonly from: number; readonly to: number }[])[];
}

export class FakeBroker {
  readonly nodeId: number;
  readonly endpoint: string;
  isDown = false;
  /** Metadata do not name it any more. */
  isGone = false;
  /** Answers of streams wait, though requests are carried out. */
  isSilent = false;
  held: (() => void)[] = [];
  readonly streams = new Set<FakeStream<never, never>>();
  /** Paths of the calls and streams that arrived. */
  readonly calls: string[] = [];
  produceRequests: ProduceRequest[] = [];
  creditsGranted = 0;
  bytesSent = 0;
  /** Cut off from the others: it answers, but does not know who leads where it does not. */
  knowsNoLeaders = false;
  /** It is behind with the metadata: it does not know the topics that were made last. */
  knowsNoTopics = false;
  /** It has just joined with an empty disk: not even of brokers it knows. */
  knowsNobody = false;
  /** Questions get no answer before their time is over. */
  isMute = false;

  constructor(nodeId: number, endpoint: string) {
    this.nodeId = nodeId;
    this.endpoint = endpoint;
  }

  speak(): void {
    this.isSilent = false;
    for (const answer of this.held.splice(0)) answer();
  }

  /** All streams break; what they had not delivered is lost. */
  breakStreams(): void {
    this.held = [];
    for (const stream of [...this.streams])
      stream.fail(new BrokerError("UNREACHABLE", "connection lost"));
  }

  stop(): void {
    this.isDown = true;
    this.breakStreams();
  }
}

export class FakeCluster {
  readonly clock: Clock;
  readonly brokers: FakeBroker[] = [];
  readonly topics = new Map<string, FakeTopic>();
  latencyMs = 1;
  clusterId = "fake";
  controllerId = 1;
  metadataIndex = 1;
  /** So many answers to GetMetadata come from brokers that know no topic yet. */
  laggingAnswers = 0;
  readonly producers = new FakeProducers();
  /** The broker's end of streams of other services, by method name. */
  readonly services = new Map<string, (broker: FakeBroker, stream: FakeServerEnd) => FakeSession>();
  /** Connections made, as endpoint and lane. */
  readonly connected: string[] = [];
  /** Unary calls by path that fail first. */
  readonly failures = new Map<string, BrokerError[]>();
  /** Unary calls by path that are carried out, and whose answers are lost. */
  readonly lostAnswers = new Map<string, BrokerError[]>();
  /** Answers to unary calls that this double does not know, by the method's name. */
  readonly handlers = new Map<string, (broker: FakeBroker, request: never) => unknown>();

  constructor(clock: Clock, brokers = 3) {
    this.clock = clock;
    for (let nodeId = 1; nodeId <= brokers; nodeId += 1) {
      this.brokers.push(new FakeBroker(nodeId, `b${nodeId}:1`));
    }
  }

  get sessionsOpened(): number {
    return this.producers.sessionsOpened;
  }

  get bootstrap(): string[] {
    return this.brokers.map((broker) => broker.endpoint);
  }

  get connector(): Connector {
    return {
      connect: (endpoint, lane) => {
        this.connected.push(`${endpoint} ${lane}`);
        return new FakeConnection(this, endpoint);
      },
    };
  }

  broker(endpoint: string): FakeBroker {
    const broker = this.brokers.find((one) => one.endpoint === endpoint);
    if (broker === undefined) throw new Error(`no broker ${endpoint}`);
    return broker;
  }

  addTopic(name: string, count: number, settings: Record<string, string> = {}): FakeTopic {
    const partitions = Array.from({ length: count }, (_, i) => {
      const partition = new FakePartition();
      partition.leader = this.brokers[i % this.brokers.length]?.endpoint ?? "";
      return partition;
    });
    this.metadataIndex += 1;
    const { epoch: layoutEpoch, slots } = initialLayout(count);
    const topicId = `id-${name}-${this.metadataIndex}`;
    const topic = { name, topicId, partitions, settings, layoutEpoch, slots };
    this.topics.set(name, topic);
    return topic;
  }

  partition(topic: string, partition: number): FakePartition {
    const found = this.topics.get(topic)?.partitions[partition];
    if (found === undefined) throw new Error(`no ${topic}/${partition}`);
    return found;
  }

  moveLeader(partition: FakePartition, to: string): void {
    partition.leader = to;
    partition.epoch += 1;
    partition.onAppend();
  }

  find(topicId: string, partition: number): FakePartition | undefined {
    for (const topic of this.topics.values()) {
      if (topic.topicId === topicId) return topic.partitions[partition];
    }
    return undefined;
  }

  /** @throws NOT_LEADER with a hint, LEADER_UNKNOWN, UNKNOWN_TOPIC_OR_PARTITION */
  lead(broker: FakeBroker, topicId: string, partition: number): FakePartition {
    const found = this.find(topicId, partition);
    if (found === undefined) throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", "none");
    if (found.leader === broker.endpoint) return found;
    if (found.leader === "" || broker.knowsNoLeaders) {
      throw new BrokerError("LEADER_UNKNOWN", "election");
    }
    throw new BrokerError("NOT_LEADER", "elsewhere", {
      leaderId: this.broker(found.leader).nodeId,
      leaderEndpoint: found.leader,
      leaderEpoch: found.epoch,
    });
  }

  unary(broker: FakeBroker, path: string, request: unknown): unknown {
    broker.calls.push(path);
    const failure = this.failures.get(path)?.shift();
    if (failure !== undefined) throw failure;
    const answer = this.#answer(broker, path, request);
    const lost = this.lostAnswers.get(path)?.shift();
    if (lost !== undefined) throw lost;
    return answer;
  }

  #answer(broker: FakeBroker, path: string, request: unknown): unknown {
    const name = path.split("/").at(-1) ?? "";
    const handler = this.handlers.get(name);
    if (handler !== undefined) return handler(broker, request as never);
    if (name === "GetMetadata") return this.#metadata(broker, request as GetMetadataRequest);
    if (name === "OpenProducer") return this.producers.open(request as OpenProducerRequest);
    if (name === "ListOffsets") return this.#listOffsets(broker, request as ListOffsetsRequest);
    if (name === "DescribeTopic") {
      if (broker.knowsNoTopics) throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", "none yet");
      return this.#describe((request as { name: string }).name);
    }
    if (name === "CreateTopic")
      return this.#create(broker, request as { name: string; partitions: number });
    if (name === "DeleteTopic") return this.#delete(broker, (request as { name: string }).name);
    if (name === "ListTopics")
      return this.#list(request as { pageSize: number; pageToken: string });
    throw new BrokerError("UNSUPPORTED_VERSION", `no ${path}`);
  }

  #metadata(broker: FakeBroker, request: GetMetadataRequest): GetMetadataResponse {
    const isLagging = this.laggingAnswers > 0 || broker.knowsNoTopics;
    if (this.laggingAnswers > 0) this.laggingAnswers -= 1;
    return {
      clusterId: this.clusterId,
      metadataIndex: this.metadataIndex - (broker.knowsNoTopics ? 1 : 0),
      controllerId: this.controllerId,
      nextPageToken: "",
      brokers: this.brokers
        .filter(({ isGone }) => !isGone && !broker.knowsNobody)
        .map(({ nodeId, endpoint }) => ({
          nodeId,
          endpoint,
          fenced: false,
          adminEndpoint: "",
        })),
      topics: request.topics.flatMap((name) => {
        const topic = this.topics.get(name);
        if (topic === undefined || isLagging) return [];
        const { topicId, layoutEpoch, settings, slots } = topic;
        const partitions = topic.partitions.map(({ leader, epoch }, partition) => ({
          partition,
          leaderId: leader === "" || broker.knowsNoLeaders ? 0 : this.broker(leader).nodeId,
          leaderEpoch: epoch,
          replicas: [1, 2, 3],
          slotFrom: (slots[partition] ?? []).map((range) => range.from),
          slotTo: (slots[partition] ?? []).map((range) => range.to),
        }));
        return [{ name, topicId, layoutEpoch, settings, partitions, keyHash: "murmur2/4096" }];
      }),
    };
  }

  #listOffsets(broker: FakeBroker, { topicId, partition, timeMs }: ListOffsetsRequest): unknown {
    const found = this.lead(broker, topicId, partition);
    const { logStartOffset, nextOffset: highWatermark, epoch: leaderEpoch } = found;
    const first = found.records().find((record) => record.timestampMs >= timeMs);
    const offset = timeMs === 0 ? highWatermark : (first?.offset ?? highWatermark);
    return { logStartOffset, highWatermark, leaderEpoch, offset };
  }

  #describe(name: string): unknown {
    const topic = this.topics.get(name);
    if (topic === undefined) throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", "none");
    const { topicId, partitions } = topic;
    const summary = {
      name,
      topicId,
      partitions: partitions.length,
      replicationFactor: 3,
      durability: "all/sync",
    };
    return { topic: summary, settings: [], partitions: [] };
  }

  #requireController(broker: FakeBroker): void {
    if (broker.nodeId === this.controllerId) return;
    const leaderEndpoint = this.brokers[this.controllerId - 1]?.endpoint;
    throw new BrokerError(
      "NOT_LEADER",
      "not the controller",
      leaderEndpoint === undefined ? {} : { leaderEndpoint },
    );
  }

  #create(broker: FakeBroker, { name, partitions }: { name: string; partitions: number }): unknown {
    this.#requireController(broker);
    if (this.topics.has(name)) throw new BrokerError("TOPIC_EXISTS", "exists");
    return { topicId: this.addTopic(name, Math.max(1, partitions)).topicId };
  }

  #delete(broker: FakeBroker, name: string): unknown {
    this.#requireController(broker);
    if (!this.topics.delete(name)) throw new BrokerError("UNKNOWN_TOPIC_OR_PARTITION", "none");
    this.metadataIndex += 1;
    return {};
  }

  #list({ pageSize, pageToken }: { pageSize: number; pageToken: string }): unknown {
    const names = [...this.topics.keys()].sort().filter((name) => name > pageToken);
    const page = names.slice(0, pageSize);
    const topics = page.map((name) => (this.#describe(name) as { topic: unknown }).topic);
    return { topics, nextPageToken: names.length > pageSize ? (page.at(-1) ?? "") : "" };
  }
}

class FakeConnection implements Connection {
  readonly endpoint: string;
  readonly #cluster: FakeCluster;

  constructor(cluster: FakeCluster, endpoint: string) {
    this.#cluster = cluster;
    this.endpoint = endpoint;
  }

  unary<Request, Response>(
    method: Method<Request, Response, "unary">,
    request: Request,
    options: CallOptions,
  ): Promise<Response> {
    const { clock, latencyMs } = this.#cluster;
    const broker = this.#cluster.broker(this.endpoint);
    const bytes = method.codec.encodeRequest(request);
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(new BrokerError("CANCELLED", "gave up"));
      options.signal?.addEventListener("abort", onAbort, { once: true });
      if (broker.isMute) {
        const late = new BrokerError("DEADLINE", "no answer in time");
        clock.schedule(options.timeoutMs, () => reject(late));
        return;
      }
      clock.schedule(latencyMs, () => {
        if (broker.isDown) {
          options.signal?.removeEventListener("abort", onAbort);
          reject(new BrokerError("UNREACHABLE", "refused", { refused: true }));
          return;
        }
        try {
          const response = this.#cluster.unary(
            broker,
            method.path,
            method.codec.decodeRequest(bytes),
          );
          const encoded = method.codec.encodeResponse(response as Response);
          clock.schedule(latencyMs, () => {
            options.signal?.removeEventListener("abort", onAbort);
            resolve(method.codec.decodeResponse(encoded));
          });
        } catch (thrown) {
          clock.schedule(latencyMs, () => {
            options.signal?.removeEventListener("abort", onAbort);
            reject(thrown as Error);
          });
        }
      });
    });
  }

  bidi<Request, Response>(
    method: Method<Request, Response, "bidi">,
  ): MessageStream<Request, Response> {
    const stream = new FakeStream(this.#cluster, this.#cluster.broker(this.endpoint), method);
    return stream;
  }

  serverStream(): never {
    throw new Error("not used by the SDK");
  }

  close(): void {}
}

/** What the broker's end of a stream may do. */
export interface FakeServerEnd {
  answer(message: unknown): void;
  fail(reason: BrokerError): void;
}

export interface FakeSession {
  receive(message: never): void;
  /** The client is gone. */
  close(): void;
}

/** The client's end; the broker's end is a session object made by the path. */
class FakeStream<Request, Response> implements MessageStream<Request, Response> {
  onMessage: (message: Response) => void = () => undefined;
  onDrain: () => void = () => undefined;
  onEnd: (error: BrokerError | undefined) => void = () => undefined;
  readonly #cluster: FakeCluster;
  readonly #broker: FakeBroker;
  readonly #method: Method<Request, Response, "bidi">;
  readonly #session: FakeSession;
  #isOver = false;

  constructor(cluster: FakeCluster, broker: FakeBroker, method: Method<Request, Response, "bidi">) {
    this.#cluster = cluster;
    this.#broker = broker;
    this.#method = method;
    const answer = (message: unknown): void => this.#answer(message as Response);
    this.#session = this.#newSession(answer);
    broker.calls.push(method.path);
    broker.streams.add(this as unknown as FakeStream<never, never>);
    if (broker.isDown) {
      cluster.clock.schedule(cluster.latencyMs, () =>
        this.fail(new BrokerError("UNREACHABLE", "refused", { refused: true })),
      );
    }
  }

  send(message: Request): boolean {
    if (this.#isOver) return false;
    const bytes = this.#method.codec.encodeRequest(message);
    this.#cluster.clock.schedule(this.#cluster.latencyMs, () => {
      if (this.#isOver || this.#broker.isDown) return;
      this.#session.receive(this.#method.codec.decodeRequest(Buffer.from(bytes)) as never);
    });
    return true;
  }

  end(): void {
    this.#cluster.clock.schedule(this.#cluster.latencyMs, () => {
      if (this.#isOver) return;
      this.cancel();
      this.onEnd(undefined);
    });
  }

  cancel(): void {
    this.#isOver = true;
    this.#session.close();
    this.#broker.streams.delete(this as unknown as FakeStream<never, never>);
  }

  pause(): void {}
  resume(): void {}

  fail(reason: BrokerError): void {
    if (this.#isOver) return;
    this.cancel();
    this.onEnd(reason);
  }

  #newSession(answer: (message: unknown) => void): FakeSession {
    const name = this.#method.path.split("/").at(-1) ?? "";
    const service = this.#cluster.services.get(name);
    if (service !== undefined) {
      return service(this.#broker, { answer, fail: (reason) => this.fail(reason) });
    }
    return name === "Produce"
      ? new FakeProduceSession(this.#cluster, this.#broker, answer)
      : new FakeFetchSession(this.#cluster, this.#broker, answer);
  }

  #answer(message: Response): void {
    const bytes = this.#method.codec.encodeResponse(message);
    const deliver = (): void => {
      this.#cluster.clock.schedule(this.#cluster.latencyMs, () => {
        if (!this.#isOver) this.onMessage(this.#method.codec.decodeResponse(Buffer.from(bytes)));
      });
    };
    if (this.#broker.isSilent) this.#broker.held.push(deliver);
    else deliver();
  }
}

interface FakeLane {
  readonly open: OpenLane;
  isClosed: boolean;
  next: number;
  layoutEpoch: number;
}

class FakeProduceSession {
  readonly #cluster: FakeCluster;
  readonly #broker: FakeBroker;
  readonly #answer: (message: ProduceResponse) => void;
  readonly #lanes = new Map<number, FakeLane>();

  constructor(
    cluster: FakeCluster,
    broker: FakeBroker,
    answer: (message: ProduceResponse) => void,
  ) {
    this.#cluster = cluster;
    this.#broker = broker;
    this.#answer = answer;
  }

  close(): void {}

  receive(message: ProduceRequest): void {
    this.#broker.produceRequests.push(message);
    const acks: ProduceResponse["acks"][number][] = [];
    const refusals: ProduceResponse["refusals"][number][] = [];
    for (const open of message.open) {
      if (this.#lanes.has(open.lane)) throw new Error("the lane was open already");
      this.#lanes.set(open.lane, { open, isClosed: false, next: 0, layoutEpoch: open.layoutEpoch });
    }
    for (const { lane: id, number, layoutEpoch } of message.resume) {
      const lane = this.#lanes.get(id);
      if (lane?.isClosed !== true) throw new Error("resumed a lane that is not closed");
      lane.isClosed = false;
      lane.next = number;
      if (layoutEpoch !== 0) lane.layoutEpoch = layoutEpoch;
    }
    for (const { lane: id, number, batch } of message.batches) {
      const lane = this.#lanes.get(id);
      if (lane === undefined) throw new Error("a batch on a lane that was not opened");
      if (lane.isClosed) continue;
      if (number !== lane.next) throw new Error(`batch ${number} instead of ${lane.next}`);
      try {
        const { topicId, partition } = lane.open;
        const found = this.#cluster.lead(this.#broker, topicId, partition);
        if (lane.layoutEpoch !== found.layoutEpoch) {
          throw new BrokerError("STALE_LAYOUT", "stale", { layoutEpoch: found.layoutEpoch });
        }
        const { baseOffset, leaderEpoch, duplicate } = found.submit(batch);
        lane.next += 1;
        if (lane.open.acks === "none") continue;
        acks.push({
          lane: id,
          firstNumber: number,
          baseOffsets: [baseOffset],
          leaderEpoch,
          duplicate,
        });
      } catch (thrown) {
        if (!(thrown instanceof BrokerError)) throw thrown;
        lane.isClosed = true;
        const { reason, message: text, fields } = thrown;
        refusals.push({ lane: id, number, reason, message: text, metadata: metadataOf(fields) });
      }
    }
    if (acks.length > 0 || refusals.length > 0) this.#answer({ acks, refusals });
  }
}

class FakeFetchSession {
  readonly #cluster: FakeCluster;
  readonly #broker: FakeBroker;
  readonly #answer: (message: FetchResponse) => void;
  readonly #cursors = new Map<number, { readonly open: OpenCursor; offset: number }>();
  #credit = 0;
  #isClosed = false;

  constructor(cluster: FakeCluster, broker: FakeBroker, answer: (message: FetchResponse) => void) {
    this.#cluster = cluster;
    this.#broker = broker;
    this.#answer = answer;
  }

  close(): void {
    this.#isClosed = true;
  }

  receive(message: FetchRequest): void {
    for (const id of message.close) this.#cursors.delete(id);
    for (const open of message.open) {
      this.#cursors.set(open.cursor, { open, offset: open.offset });
      const partition = this.#cluster.find(open.topicId, open.partition);
      const before = partition?.onAppend ?? (() => undefined);
      if (partition === undefined) continue;
      partition.onAppend = () => {
        before();
        this.#serve();
      };
    }
    this.#credit += message.creditBytes;
    this.#broker.creditsGranted += message.creditBytes;
    this.#serve();
  }

  #serve(): void {
    if (this.#isClosed || this.#broker.isDown) return;
    const data: CursorBatches[] = [];
    const errors: FetchResponse["errors"][number][] = [];
    for (const [id, cursor] of [...this.#cursors]) {
      try {
        const batches = this.#read(cursor);
        if (batches === undefined) continue;
        data.push({ cursor: id, ...batches });
      } catch (thrown) {
        if (!(thrown instanceof BrokerError)) throw thrown;
        this.#cursors.delete(id);
        const { reason, message, fields } = thrown;
        errors.push({ cursor: id, reason, message, metadata: metadataOf(fields) });
      }
    }
    if (data.length > 0 || errors.length > 0) this.#answer({ data, errors });
  }

  #read(cursor: {
    readonly open: OpenCursor;
    offset: number;
  }): Omit<CursorBatches, "cursor"> | undefined {
    const { topicId, partition: number, lastEpoch, offset: from } = cursor.open;
    const partition = this.#cluster.lead(this.#broker, topicId, number);
    const { logStartOffset, nextOffset: highWatermark } = partition;
    if (cursor.offset === from && lastEpoch !== 0) {
      const last = partition.batches.find((b) => b.baseOffset + b.recordCount > from - 1);
      if (last === undefined || last.leaderEpoch !== lastEpoch) {
        throw new BrokerError("DIVERGED", "other history", {
          endOffset: last?.baseOffset ?? highWatermark,
        });
      }
    }
    if (cursor.offset < logStartOffset || cursor.offset > highWatermark) {
      const bounds = { logStartOffset, highWatermark };
      throw new BrokerError("OFFSET_OUT_OF_RANGE", "out of range", bounds);
    }
    const batches: Buffer[] = [];
    for (const batch of partition.batches) {
      if (batch.baseOffset + batch.recordCount <= cursor.offset) continue;
      if (this.#credit <= 0) break;
      batches.push(batch.bytes);
      this.#credit -= batch.bytes.length;
      this.#broker.bytesSent += batch.bytes.length;
      cursor.offset = batch.baseOffset + batch.recordCount;
    }
    return batches.length === 0 ? undefined : { batches, highWatermark, logStartOffset };
  }
}
