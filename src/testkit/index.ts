// Public entry of flotilla/testkit: write down what your test did, then let the checker judge it. README.md describes the
// events, the anomalies and what each class of acknowledgement excuses.

export { CATALOGUE, type CatalogueRow } from "./catalogue.ts";
export {
  type Anomaly,
  type AnomalyKind,
  type CheckOptions,
  type CheckReport,
  checkHistory,
} from "./checker.ts";
export {
  type Arrived,
  ConsumerRecorder,
  type DeliverySink,
  type Handled,
  type ReceivedByConsumer,
} from "./consumer-recorder.ts";
export type {
  ConsumerSeen,
  CursorSeen,
  DeadLetterSeen,
  Delivered,
  DeliveredRecord,
  DeliveryEvent,
  DeliveryFilter,
  DeliverySettled,
  HandlerSeen,
  KeyReleased,
  LeaseLost,
  SettlementAnswered,
  SettlementAsked,
  SubscriptionDeclared,
  SubscriptionPaused,
  SubscriptionReset,
} from "./delivery-events.ts";
export { DeliveryRecorder, type DeliveryToken } from "./delivery-recorder.ts";
export type {
  BoundsSeen,
  DurabilityClass,
  FaultEffect,
  FaultEvent,
  HistoryEvent,
  HistoryHeader,
  LeaderSeen,
  LogLine,
  MetadataSeen,
  OutcomeAnswered,
  PartitionScanned,
  Polled,
  PolledRecord,
  ProcessExit,
  ReaderSought,
  RecordRead,
  ReplicaDigest,
  ResourceSample,
  SendAcknowledged,
  SendFailed,
  SendInvoked,
  TopicDeclared,
} from "./events.ts";
export { History } from "./history.ts";
export {
  decodeEvent,
  encodeEvent,
  encodeHistory,
  HISTORY_VERSION,
  HistoryFormatError,
  headerOf,
  readHistory,
} from "./history-format.ts";
export { type AllowedLogLine, DEFAULT_RULES, type Rules } from "./rules.ts";
