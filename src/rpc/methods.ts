// One constant per rpc: its path, its kind and its codec. Used by services, by the SDK, by brokers among each other and
// by the simulator. test/rpc/methods.test.ts compares them with proto/.
import * as peer from "./generated/flotilla-internal-v1.ts";
import * as v1 from "./generated/flotilla-v1.ts";
import type { Method, MethodCodec } from "./ports.ts";
import type { MessageType } from "./wire/message-type.ts";
import { REQUEST_ELEMENTS_MAX, RESPONSE_ELEMENTS_MAX, STREAM_ELEMENTS_MAX } from "./wire/reader.ts";

type Kind = "unary" | "bidi" | "server-stream";
type Unary<Request, Response> = Method<Request, Response, "unary">;
type Bidi<Request, Response> = Method<Request, Response, "bidi">;
type ServerStream<Request, Response> = Method<Request, Response, "server-stream">;

const PRODUCE = "flotilla.v1.ProduceService";
const FETCH = "flotilla.v1.FetchService";
const METADATA = "flotilla.v1.MetadataService";
const ADMIN = "flotilla.v1.AdminService";
const SUBSCRIPTION = "flotilla.v1.SubscriptionService";
const DEAD_LETTER = "flotilla.v1.DeadLetterService";
const PEER = "flotilla.internal.v1.PeerService";

export const produceService: {
  readonly produce: Bidi<v1.ProduceRequest, v1.ProduceResponse>;
  readonly publish: Unary<v1.PublishRequest, v1.PublishResponse>;
  readonly openProducer: Unary<v1.OpenProducerRequest, v1.OpenProducerResponse>;
  readonly queryOutcome: Unary<v1.QueryOutcomeRequest, v1.QueryOutcomeResponse>;
} = {
  produce: method(PRODUCE, "Produce", "bidi", v1.ProduceRequest, v1.ProduceResponse),
  publish: method(PRODUCE, "Publish", "unary", v1.PublishRequest, v1.PublishResponse),
  openProducer: method(
    PRODUCE,
    "OpenProducer",
    "unary",
    v1.OpenProducerRequest,
    v1.OpenProducerResponse,
  ),
  queryOutcome: method(
    PRODUCE,
    "QueryOutcome",
    "unary",
    v1.QueryOutcomeRequest,
    v1.QueryOutcomeResponse,
  ),
};

export const fetchService: {
  readonly fetch: Bidi<v1.FetchRequest, v1.FetchResponse>;
  readonly fetchMessages: Unary<v1.FetchMessagesRequest, v1.FetchMessagesResponse>;
  readonly listOffsets: Unary<v1.ListOffsetsRequest, v1.ListOffsetsResponse>;
} = {
  fetch: method(FETCH, "Fetch", "bidi", v1.FetchRequest, v1.FetchResponse),
  fetchMessages: method(
    FETCH,
    "FetchMessages",
    "unary",
    v1.FetchMessagesRequest,
    v1.FetchMessagesResponse,
  ),
  listOffsets: method(FETCH, "ListOffsets", "unary", v1.ListOffsetsRequest, v1.ListOffsetsResponse),
};

export const metadataService: {
  readonly getMetadata: Unary<v1.GetMetadataRequest, v1.GetMetadataResponse>;
} = {
  getMetadata: method(
    METADATA,
    "GetMetadata",
    "unary",
    v1.GetMetadataRequest,
    v1.GetMetadataResponse,
  ),
};

export const subscriptionService: {
  readonly createSubscription: Unary<v1.CreateSubscriptionRequest, v1.CreateSubscriptionResponse>;
  readonly alterSubscription: Unary<v1.AlterSubscriptionRequest, v1.AlterSubscriptionResponse>;
  readonly deleteSubscription: Unary<v1.DeleteSubscriptionRequest, v1.DeleteSubscriptionResponse>;
  readonly listSubscriptions: Unary<v1.ListSubscriptionsRequest, v1.ListSubscriptionsResponse>;
  readonly describeSubscription: Unary<
    v1.DescribeSubscriptionRequest,
    v1.DescribeSubscriptionResponse
  >;
  readonly getProgress: Unary<v1.GetProgressRequest, v1.GetProgressResponse>;
  readonly seek: Unary<v1.SeekRequest, v1.SeekResponse>;
  readonly explain: Unary<v1.ExplainRequest, v1.ExplainResponse>;
  readonly listParkedKeys: Unary<v1.ListParkedKeysRequest, v1.ListParkedKeysResponse>;
  readonly releaseKey: Unary<v1.ReleaseKeyRequest, v1.ReleaseKeyResponse>;
  readonly subscribe: Bidi<v1.SubscribeRequest, v1.SubscribeResponse>;
} = {
  createSubscription: method(
    SUBSCRIPTION,
    "CreateSubscription",
    "unary",
    v1.CreateSubscriptionRequest,
    v1.CreateSubscriptionResponse,
  ),
  alterSubscription: method(
    SUBSCRIPTION,
    "AlterSubscription",
    "unary",
    v1.AlterSubscriptionRequest,
    v1.AlterSubscriptionResponse,
  ),
  deleteSubscription: method(
    SUBSCRIPTION,
    "DeleteSubscription",
    "unary",
    v1.DeleteSubscriptionRequest,
    v1.DeleteSubscriptionResponse,
  ),
  listSubscriptions: method(
    SUBSCRIPTION,
    "ListSubscriptions",
    "unary",
    v1.ListSubscriptionsRequest,
    v1.ListSubscriptionsResponse,
  ),
  describeSubscription: method(
    SUBSCRIPTION,
    "DescribeSubscription",
    "unary",
    v1.DescribeSubscriptionRequest,
    v1.DescribeSubscriptionResponse,
  ),
  getProgress: method(
    SUBSCRIPTION,
    "GetProgress",
    "unary",
    v1.GetProgressRequest,
    v1.GetProgressResponse,
  ),
  seek: method(SUBSCRIPTION, "Seek", "unary", v1.SeekRequest, v1.SeekResponse),
  explain: method(SUBSCRIPTION, "Explain", "unary", v1.ExplainRequest, v1.ExplainResponse),
  listParkedKeys: method(
    SUBSCRIPTION,
    "ListParkedKeys",
    "unary",
    v1.ListParkedKeysRequest,
    v1.ListParkedKeysResponse,
  ),
  releaseKey: method(
    SUBSCRIPTION,
    "ReleaseKey",
    "unary",
    v1.ReleaseKeyRequest,
    v1.ReleaseKeyResponse,
  ),
  subscribe: method(SUBSCRIPTION, "Subscribe", "bidi", v1.SubscribeRequest, v1.SubscribeResponse),
};

export const deadLetterService: {
  readonly prepareRedrive: Unary<v1.PrepareRedriveRequest, v1.PrepareRedriveResponse>;
  readonly listDeadLetters: Unary<v1.ListDeadLettersRequest, v1.ListDeadLettersResponse>;
  readonly redriveDeadLetters: Unary<v1.RedriveDeadLettersRequest, v1.RedriveDeadLettersResponse>;
} = {
  prepareRedrive: method(
    DEAD_LETTER,
    "PrepareRedrive",
    "unary",
    v1.PrepareRedriveRequest,
    v1.PrepareRedriveResponse,
  ),
  listDeadLetters: method(
    DEAD_LETTER,
    "ListDeadLetters",
    "unary",
    v1.ListDeadLettersRequest,
    v1.ListDeadLettersResponse,
  ),
  redriveDeadLetters: method(
    DEAD_LETTER,
    "RedriveDeadLetters",
    "unary",
    v1.RedriveDeadLettersRequest,
    v1.RedriveDeadLettersResponse,
  ),
};

export const adminService: {
  readonly createTopic: Unary<v1.CreateTopicRequest, v1.CreateTopicResponse>;
  readonly alterTopic: Unary<v1.AlterTopicRequest, v1.AlterTopicResponse>;
  readonly deleteTopic: Unary<v1.DeleteTopicRequest, v1.DeleteTopicResponse>;
  readonly listTopics: Unary<v1.ListTopicsRequest, v1.ListTopicsResponse>;
  readonly describeTopic: Unary<v1.DescribeTopicRequest, v1.DescribeTopicResponse>;
  readonly describeCluster: Unary<v1.DescribeClusterRequest, v1.DescribeClusterResponse>;
  readonly transferLeadership: Unary<v1.TransferLeadershipRequest, v1.TransferLeadershipResponse>;
  readonly digestReplica: Unary<v1.DigestReplicaRequest, v1.DigestReplicaResponse>;
  readonly moveReplica: Unary<v1.MoveReplicaRequest, v1.MoveReplicaResponse>;
  readonly cancelMove: Unary<v1.CancelMoveRequest, v1.CancelMoveResponse>;
  readonly listMoves: Unary<v1.ListMovesRequest, v1.ListMovesResponse>;
  readonly decommissionNode: Unary<v1.DecommissionNodeRequest, v1.DecommissionNodeResponse>;
  readonly cancelDecommission: Unary<v1.CancelDecommissionRequest, v1.CancelDecommissionResponse>;
  readonly rebalance: Unary<v1.RebalanceRequest, v1.RebalanceResponse>;
  readonly setMetadataVoters: Unary<v1.SetMetadataVotersRequest, v1.SetMetadataVotersResponse>;
  readonly inspectReplica: Unary<v1.InspectReplicaRequest, v1.InspectReplicaResponse>;
  readonly unsafeRecover: Unary<v1.UnsafeRecoverRequest, v1.UnsafeRecoverResponse>;
} = {
  createTopic: method(ADMIN, "CreateTopic", "unary", v1.CreateTopicRequest, v1.CreateTopicResponse),
  alterTopic: method(ADMIN, "AlterTopic", "unary", v1.AlterTopicRequest, v1.AlterTopicResponse),
  deleteTopic: method(ADMIN, "DeleteTopic", "unary", v1.DeleteTopicRequest, v1.DeleteTopicResponse),
  listTopics: method(ADMIN, "ListTopics", "unary", v1.ListTopicsRequest, v1.ListTopicsResponse),
  describeTopic: method(
    ADMIN,
    "DescribeTopic",
    "unary",
    v1.DescribeTopicRequest,
    v1.DescribeTopicResponse,
  ),
  describeCluster: method(
    ADMIN,
    "DescribeCluster",
    "unary",
    v1.DescribeClusterRequest,
    v1.DescribeClusterResponse,
  ),
  transferLeadership: method(
    ADMIN,
    "TransferLeadership",
    "unary",
    v1.TransferLeadershipRequest,
    v1.TransferLeadershipResponse,
  ),
  digestReplica: method(
    ADMIN,
    "DigestReplica",
    "unary",
    v1.DigestReplicaRequest,
    v1.DigestReplicaResponse,
  ),
  moveReplica: method(ADMIN, "MoveReplica", "unary", v1.MoveReplicaRequest, v1.MoveReplicaResponse),
  cancelMove: method(ADMIN, "CancelMove", "unary", v1.CancelMoveRequest, v1.CancelMoveResponse),
  listMoves: method(ADMIN, "ListMoves", "unary", v1.ListMovesRequest, v1.ListMovesResponse),
  decommissionNode: method(
    ADMIN,
    "DecommissionNode",
    "unary",
    v1.DecommissionNodeRequest,
    v1.DecommissionNodeResponse,
  ),
  cancelDecommission: method(
    ADMIN,
    "CancelDecommission",
    "unary",
    v1.CancelDecommissionRequest,
    v1.CancelDecommissionResponse,
  ),
  rebalance: method(ADMIN, "Rebalance", "unary", v1.RebalanceRequest, v1.RebalanceResponse),
  setMetadataVoters: method(
    ADMIN,
    "SetMetadataVoters",
    "unary",
    v1.SetMetadataVotersRequest,
    v1.SetMetadataVotersResponse,
  ),
  inspectReplica: method(
    ADMIN,
    "InspectReplica",
    "unary",
    v1.InspectReplicaRequest,
    v1.InspectReplicaResponse,
  ),
  unsafeRecover: method(
    ADMIN,
    "UnsafeRecover",
    "unary",
    v1.UnsafeRecoverRequest,
    v1.UnsafeRecoverResponse,
  ),
};

/** Between brokers only. */
export const peerService: {
  readonly attach: ServerStream<peer.AttachRequest, peer.PeerEnvelope>;
  readonly proposeMetadata: Unary<peer.ProposeMetadataRequest, peer.ProposeMetadataResponse>;
  readonly readEntries: ServerStream<peer.ReadEntriesRequest, peer.ReadEntriesResponse>;
} = {
  attach: method(PEER, "Attach", "server-stream", peer.AttachRequest, peer.PeerEnvelope),
  proposeMetadata: method(
    PEER,
    "ProposeMetadata",
    "unary",
    peer.ProposeMetadataRequest,
    peer.ProposeMetadataResponse,
  ),
  readEntries: method(
    PEER,
    "ReadEntries",
    "server-stream",
    peer.ReadEntriesRequest,
    peer.ReadEntriesResponse,
  ),
};

function method<Request, Response, K extends Kind>(
  service: string,
  name: string,
  kind: K,
  request: MessageType<Request>,
  response: MessageType<Response>,
): Method<Request, Response, K> {
  const elementsMax = kind === "bidi" ? STREAM_ELEMENTS_MAX : REQUEST_ELEMENTS_MAX;
  return { path: `/${service}/${name}`, kind, codec: codecOf(request, response, elementsMax) };
}

function codecOf<Request, Response>(
  request: MessageType<Request>,
  response: MessageType<Response>,
  elementsMax: number,
): MethodCodec<Request, Response> {
  return {
    encodeRequest: (message) => request.encode(message),
    decodeRequest: (bytes) => request.decode(bytes, elementsMax),
    encodeResponse: (message) => response.encode(message),
    decodeResponse: (bytes) => response.decode(bytes, RESPONSE_ELEMENTS_MAX),
  };
}
