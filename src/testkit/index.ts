// Public entry of flotilla/testkit: write down what your test did, then let the checker judge it.

export {
  type Anomaly,
  type AnomalyKind,
  type CheckOptions,
  type CheckReport,
  checkHistory,
} from "./checker.ts";
export {
  type DurabilityClass,
  type FaultEvent,
  History,
  type HistoryEvent,
  type RecordRead,
  type SendAcknowledged,
  type SendFailed,
  type SendInvoked,
} from "./history.ts";
