// flotilla/client: the SDK's public interface. Everything else in this folder is internal.
export type { Acks, Flush } from "../model/durability.ts";
export type { ErrorFields, ErrorReason, RetryAdvice } from "../model/errors.ts";
export { isBrokerError } from "../model/errors.ts";
export type { Filter, HeaderConditions } from "../model/filter.ts";
export type { RecordHeader } from "../model/record-batch-builder.ts";
export type {
  FailurePolicy,
  SubscriptionMode,
  SubscriptionStart,
  TopicSelection,
} from "../model/subscription.ts";
export { type ConnectorOptions, grpcConnector } from "../rpc/connector.ts";
export type {
  DescribeClusterResponse,
  DescribeTopicResponse,
  DigestReplicaResponse,
  ExplainResponse,
  FailedAttempt,
  MatchedTopic,
  MessageFate,
  NodeState,
  PartitionProgress,
  PartitionState,
  PlannedMove,
  RebalanceResponse,
  ReplicaMove,
  Setting,
  TopicSummary,
} from "../rpc/generated/flotilla-v1.ts";
export type { Connector } from "../rpc/ports.ts";
export type {
  Admin,
  ListTopicsOptions,
  NewTopic,
  Outcome,
  OutcomeQuestion,
  PartitionOffsets,
  TopicMetadata,
} from "./admin.ts";
export { type Client, type ClientOptions, createClient } from "./client.ts";
export type { ClientLogger } from "./client-deps.ts";
export type { CloseOptions } from "./close-options.ts";
export type { Confirmation } from "./confirmation.ts";
export type { Consumer, ConsumerStats } from "./consumer.ts";
export type { BatchHandler, BatchRunOptions } from "./consumer-batches.ts";
export type { ConsumerMessage, NackOptions } from "./consumer-message.ts";
export type { ConsumerOptions } from "./consumer-options.ts";
export type { Handler, RunOptions } from "./consumer-run.ts";
export type {
  DeadLetterAdmin,
  DeadLetterOfPartition,
  ListDeadLettersOptions,
  RedriveOptions,
} from "./dead-letter-admin.ts";
export type { CanaryVerdict, RedriveReport } from "./dead-letter-redrive.ts";
export type { LetterOfMessage, MessageExplanation } from "./dead-letter-search.ts";
export { DeliveryToken } from "./delivery-token.ts";
export { FlotillaError } from "./flotilla-error.ts";
export { Reject, RetryLater, type RetryTime } from "./handler-outcome.ts";
export type { MemberAdmin, PartitionName, ReplicaMoves } from "./member-admin.ts";
export type { Producer, ProducerOptions, SendOptions } from "./producer-options.ts";
export type { OutgoingHeader, OutgoingMessage, SendClass } from "./producer-topic.ts";
export type { Reader } from "./reader.ts";
export type { ReaderOptions, StartPosition } from "./reader-start.ts";
export type { ReceivedBatch, ReceivedMessage } from "./received-batch.ts";
export type { Receipt, SendCallback } from "./send-batch.ts";
export { bytes, json, type Serializer, text } from "./serializer.ts";
export type {
  CreatedSubscription,
  DescribedSubscription,
  ExplainOptions,
  ListSubscriptionsOptions,
  SubscriptionAdmin,
} from "./subscription-admin.ts";
export {
  type NewSubscription,
  PAUSED_UNTIL_RESUMED,
  type RetryOptions,
  type Subscription,
  type SubscriptionChanges,
  type TopicChoice,
} from "./subscription-definition.ts";
export type {
  MessageName,
  ParkedKeyOfPartition,
  PartitionSeek,
  SeekOptions,
  SeekTarget,
  SubscriptionProgress,
} from "./subscription-partitions.ts";
export { type TypedMessage, type TypedProducer, typedProducer } from "./typed-producer.ts";
export type { CallSettings } from "./unary-caller.ts";
