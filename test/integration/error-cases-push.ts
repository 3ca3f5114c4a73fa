// Refusals of consumers' streams, and of questions about one partition. See error-cases.ts.
import { BrokerError } from "../../src/model/errors.ts";
import {
  ExplainRequest,
  ListParkedKeysRequest,
  ReleaseKeyRequest,
  SeekRequest,
  Settle,
  SubscribeOpen,
  SubscribeRequest,
  type SubscribeResponse,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { subscriptionService } from "../../src/rpc/methods.ts";
import type { Connection, MessageStream } from "../../src/rpc/ports.ts";
import { errorOfReason } from "../../src/rpc/status.ts";
import { refusalOf } from "../support/wire-client.ts";
import { type Ends, type ErrorCase, TIMEOUT } from "./error-case.ts";
import { prepare } from "./error-cases-subscriptions.ts";

type Stream = MessageStream<SubscribeRequest, SubscribeResponse>;

function open(connection: Connection, more: Partial<SubscribeOpen> = {}): Stream {
  const stream = connection.bidi(subscriptionService.subscribe);
  const fields = { subscription: "s", consumerId: "c", protocolVersion: 1 };
  const message = SubscribeOpen.create({ ...fields, form: "batches", ...more });
  stream.send(SubscribeRequest.create({ open: message }));
  return stream;
}

/** How a stream ends. */
async function endOf(stream: Stream): Promise<BrokerError> {
  return new Promise((resolve) => {
    stream.onEnd = (error) => resolve(error ?? new BrokerError("INTERNAL", "a normal end"));
  });
}

/** The answer to one settlement; the stream goes on. */
async function settleRefusal({ leader }: Ends, fields: Partial<Settle>): Promise<BrokerError> {
  const stream = open(leader.connection, { consumerId: "settling" });
  await new Promise<void>((resolve) => {
    stream.onMessage = ({ channels }) => {
      if (channels.length > 0) resolve();
    };
  });
  const settle = Settle.create({
    number: 1,
    channel: 0,
    deliveryNumber: 1,
    kind: "ack",
    ...fields,
  });
  const refused = new Promise<BrokerError>((resolve) => {
    stream.onMessage = ({ refusals }) => {
      const [refusal] = refusals;
      if (refusal === undefined) return;
      resolve(errorOfReason(refusal.reason, refusal.message, refusal.metadata));
    };
  });
  stream.send(SubscribeRequest.create({ settle: [settle] }));
  const error = await refused;
  stream.cancel();
  return error;
}

function badOpen(
  reason: ErrorCase["reason"],
  title: string,
  more: Partial<SubscribeOpen>,
  fields: NonNullable<ErrorCase["fields"]>,
): ErrorCase {
  return {
    reason,
    title,
    fields,
    prepare,
    refuse: async ({ follower }) => endOf(open(follower.connection, more)),
  };
}

const place = ({ leader }: Ends) => {
  return { subscription: "s", topicId: leader.topicId, partition: 0, offset: 0 };
};

export const PUSH_CASES: readonly ErrorCase[] = [
  badOpen("UNKNOWN_SUBSCRIPTION", "subscribed to, never was", { subscription: "nobody" }, {}),
  badOpen(
    "UNSUPPORTED_VERSION",
    "a consumer of the future",
    { protocolVersion: 99 },
    { versionMax: 1 },
  ),
  badOpen(
    "INVALID_REQUEST",
    "a consumer without id",
    { consumerId: "" },
    { field: "open.consumerId" },
  ),
  badOpen(
    "FILTER_MISMATCH",
    "a consumer with another filter",
    { expectedFilter: '{"kind":"tags","tags":["a"]}' },
    { expected: '{"kind":"tags","tags":["a"]}', actual: "" },
  ),
  {
    reason: "CONSUMER_REPLACED",
    title: "a later stream of the same consumer",
    fields: { consumerId: "c" },
    prepare,
    refuse: async ({ follower }) => {
      const first = open(follower.connection);
      const end = endOf(first);
      const second = open(follower.connection);
      const error = await end;
      second.cancel();
      return error;
    },
  },
  {
    reason: "STALE_DELIVERY",
    title: "a delivery that was never made",
    fields: { deliveryNumber: 4711 },
    prepare,
    refuse: async (ends) => settleRefusal(ends, { deliveryNumber: 4711 }),
  },
  {
    reason: "INVALID_REQUEST",
    title: "a settlement on no channel",
    fields: { field: "settle.channel" },
    prepare,
    refuse: async (ends) => settleRefusal(ends, { channel: 7 }),
  },
  {
    reason: "NOT_LEADER",
    title: "a message is explained by its leader",
    prepare,
    refuse: async (ends) => {
      const { follower } = ends;
      const request = ExplainRequest.create(place(ends));
      return refusalOf(follower.connection.unary(subscriptionService.explain, request, TIMEOUT));
    },
  },
  {
    reason: "INVALID_REQUEST",
    title: "a seek to nowhere",
    fields: { field: "kind" },
    prepare,
    refuse: async (ends) => {
      const request = SeekRequest.create(place(ends));
      return refusalOf(ends.leader.connection.unary(subscriptionService.seek, request, TIMEOUT));
    },
  },
  {
    reason: "INVALID_REQUEST",
    title: "released, never parked",
    fields: { field: "offset" },
    prepare,
    refuse: async (ends) => {
      const request = ReleaseKeyRequest.create(place(ends));
      const { connection } = ends.leader;
      return refusalOf(connection.unary(subscriptionService.releaseKey, request, TIMEOUT));
    },
  },
  {
    reason: "INVALID_REQUEST",
    title: "a page of too many parked keys",
    fields: { field: "pageSize" },
    prepare,
    refuse: async (ends) => {
      const { offset: _, ...where } = place(ends);
      const request = ListParkedKeysRequest.create({ ...where, pageSize: 1001 });
      const { connection } = ends.leader;
      return refusalOf(connection.unary(subscriptionService.listParkedKeys, request, TIMEOUT));
    },
  },
];
