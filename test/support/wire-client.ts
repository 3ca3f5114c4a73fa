// The public protocol by hand, for tests that must send what the SDK never would: one connection, plain calls, lanes and
// cursors whose refusals come back as BrokerErrors.
import { type BrokerError, isBrokerError } from "../../src/model/errors.ts";
import {
  FetchMessagesRequest,
  type FetchMessagesResponse,
  FetchRequest,
  type FetchResponse,
  type LaneAck,
  LaneBatch,
  ListOffsetsRequest,
  type ListOffsetsResponse,
  OpenCursor,
  OpenLane,
  OpenProducerRequest,
  type OpenProducerResponse,
  ProduceRequest,
  type ProduceResponse,
  PublishMessage,
  PublishRequest,
  type Receipt,
  ResumeLane,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { fetchService, produceService } from "../../src/rpc/methods.ts";
import type { Connection, MessageStream } from "../../src/rpc/ports.ts";
import { errorOfReason } from "../../src/rpc/status.ts";
import { plainBatch } from "./batches.ts";

const TIMEOUT_MS = 10_000;

/** The BrokerError that a call rejects with. */
export async function refusalOf(call: Promise<unknown>): Promise<BrokerError> {
  try {
    await call;
  } catch (error) {
    if (isBrokerError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

export class WireClient {
  readonly connection: Connection;
  readonly topic: string;
  readonly topicId: string;

  constructor(connection: Connection, topic: string, topicId: string) {
    this.connection = connection;
    this.topic = topic;
    this.topicId = topicId;
  }

  async publishAll(request: Partial<PublishRequest>): Promise<readonly Receipt[]> {
    const full = PublishRequest.create({ topic: this.topic, partition: 0, ...request });
    const options = { timeoutMs: TIMEOUT_MS };
    return (await this.connection.unary(produceService.publish, full, options)).receipts;
  }

  async publish(message: Partial<PublishMessage> = {}): Promise<Receipt> {
    const value = Buffer.from("plain");
    const [receipt] = await this.publishAll({
      messages: [PublishMessage.create({ value, ...message })],
    });
    if (receipt === undefined) throw new Error("no receipt");
    return receipt;
  }

  async fetchMessages(request: Partial<FetchMessagesRequest>): Promise<FetchMessagesResponse> {
    const full = FetchMessagesRequest.create({ topic: this.topic, ...request });
    const options = { timeoutMs: TIMEOUT_MS };
    return this.connection.unary(fetchService.fetchMessages, full, options);
  }

  async offsets(request: Partial<ListOffsetsRequest> = {}): Promise<ListOffsetsResponse> {
    const full = ListOffsetsRequest.create({ topicId: this.topicId, ...request });
    const options = { timeoutMs: TIMEOUT_MS };
    return this.connection.unary(fetchService.listOffsets, full, options);
  }

  async openProducer(
    name = "",
    more: Partial<OpenProducerRequest> = {},
  ): Promise<OpenProducerResponse> {
    const request = OpenProducerRequest.create({ name, protocolVersion: 1, ...more });
    const options = { timeoutMs: TIMEOUT_MS };
    return this.connection.unary(produceService.openProducer, request, options);
  }

  /** A stream of its own with one lane, number 0, on the topic's partition 0. */
  lane(open: Partial<OpenLane> = {}): LaneClient {
    const stream = this.connection.bidi(produceService.produce);
    return new LaneClient(stream, { topicId: this.topicId, ...open });
  }

  /** The refusal of what is sent on a new lane; the stream is given up afterwards. */
  async laneRefusal(batch: Buffer, open: Partial<OpenLane> = {}): Promise<BrokerError> {
    const lane = this.lane(open);
    lane.send(batch);
    const error = await lane.refusal();
    lane.close();
    return error;
  }

  /** How a cursor ends. */
  async cursorError(open: Partial<OpenCursor>): Promise<BrokerError> {
    const cursor = this.cursors([open]);
    const error = await cursor.error();
    cursor.close();
    return error;
  }

  cursors(opens: readonly Partial<OpenCursor>[]): CursorClient {
    const stream = this.connection.bidi(fetchService.fetch);
    return new CursorClient(
      stream,
      opens.map((open) =>
        OpenCursor.create({ topicId: this.topicId, layoutEpoch: 1, protocolVersion: 1, ...open }),
      ),
    );
  }
}

export class LaneClient {
  readonly stream: MessageStream<ProduceRequest, ProduceResponse>;
  readonly #answers = new Inbox<LaneAck | BrokerError>();
  #nextNumber = 0;

  constructor(
    stream: MessageStream<ProduceRequest, ProduceResponse>,
    open: Partial<OpenLane> & { readonly topicId: string },
  ) {
    this.stream = stream;
    stream.onMessage = (answer) => {
      for (const ack of answer.acks) this.#answers.put(ack);
      for (const { reason, message, metadata } of answer.refusals) {
        this.#answers.put(errorOfReason(reason, message, metadata));
      }
    };
    stream.onEnd = (error) => {
      if (error !== undefined) this.#answers.put(error);
    };
    const full = OpenLane.create({ layoutEpoch: 1, protocolVersion: 1, ...open });
    stream.send(ProduceRequest.create({ open: [full] }));
  }

  send(batch: Buffer, number: number = this.#nextNumber): void {
    this.#nextNumber = number + 1;
    this.request({ batches: [LaneBatch.create({ number, batch })] });
  }

  request(request: Partial<ProduceRequest>): void {
    this.stream.send(ProduceRequest.create(request));
  }

  /** Reopens the lane; the next batch has this number. */
  resume(number: number, layoutEpoch = 0): void {
    this.#nextNumber = number;
    this.request({ resume: [ResumeLane.create({ number, layoutEpoch })] });
  }

  async refusal(): Promise<BrokerError> {
    const answer = await this.#answers.take();
    if (isBrokerError(answer)) return answer;
    throw new Error(`an ack came, no refusal: ${JSON.stringify(answer)}`);
  }

  async ack(): Promise<LaneAck> {
    const answer = await this.#answers.take();
    if (isBrokerError(answer)) throw answer;
    return answer;
  }

  /** Sends and waits for the ack. */
  async append(
    values: readonly string[],
    producer?: Parameters<typeof plainBatch>[1],
  ): Promise<LaneAck> {
    this.send(plainBatch(values, producer));
    return this.ack();
  }

  close(): void {
    this.stream.cancel();
  }
}

export class CursorClient {
  readonly #stream: MessageStream<FetchRequest, FetchResponse>;
  readonly #errors = new Inbox<BrokerError>();

  constructor(stream: MessageStream<FetchRequest, FetchResponse>, open: readonly OpenCursor[]) {
    this.#stream = stream;
    stream.onMessage = (answer) => {
      for (const { reason, message, metadata } of answer.errors) {
        this.#errors.put(errorOfReason(reason, message, metadata));
      }
    };
    stream.onEnd = (error) => {
      if (error !== undefined) this.#errors.put(error);
    };
    stream.send(FetchRequest.create({ open, creditBytes: 1024 * 1024 }));
  }

  async error(): Promise<BrokerError> {
    return this.#errors.take();
  }

  close(): void {
    this.#stream.cancel();
  }
}

class Inbox<T> {
  readonly #items: T[] = [];
  #taker: ((item: T) => void) | undefined;

  put(item: T): void {
    const taker = this.#taker;
    this.#taker = undefined;
    if (taker === undefined) this.#items.push(item);
    else taker(item);
  }

  async take(): Promise<T> {
    const item = this.#items.shift();
    if (item !== undefined) return item;
    return new Promise((resolve) => {
      this.#taker = resolve;
    });
  }
}
