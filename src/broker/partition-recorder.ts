// Turns what the partition room counts and measures into instruments of the registry.
import type { BrokerError } from "../model/errors.ts";
import type { Cell, Instruments, Timing } from "../observe/metrics.ts";
import type { PartitionCounter, PartitionMetrics } from "../partition/partition-metrics.ts";
import type { OverloadLog } from "./overload-log.ts";

/** Label value for what belongs to no single topic. */
const NO_TOPIC = "";
/** Instruments with one series per topic. */
const BY_TOPIC = ["produceRecords", "produceBytes", "fetchRecords", "fetchBytes"] as const;

export function createPartitionRecorder(
  instruments: Instruments,
  overloads: OverloadLog,
): PartitionMetrics {
  return recorderOf(instruments, overloads, NO_TOPIC);
}

function recorderOf(
  instruments: Instruments,
  overloads: OverloadLog,
  topic: string,
): PartitionMetrics {
  const cells: Record<PartitionCounter, Cell> = {
    records_appended: instruments.produceRecords.with(topic),
    bytes_appended: instruments.produceBytes.with(topic),
    batches_appended: instruments.produceBatches.with("ok"),
    duplicates_answered: instruments.produceBatches.with("duplicate"),
    acks_lost: instruments.produceBatches.with("lost"),
    records_fetched: instruments.fetchRecords.with(topic),
    bytes_fetched: instruments.fetchBytes.with(topic),
    log_starts_advanced: instruments.logStartsAdvanced.with(),
    producers_expired: instruments.producersExpired.with(),
    maintenance_failed: instruments.maintenanceFailed.with(),
  };
  const latencies = new Map<string, Timing>();
  const fetchLatency = instruments.fetchLatency.with();
  return {
    count: (name, by = 1) => cells[name].add(by),
    produceRefused(error, isCall = false) {
      instruments.produceBatches.with(error.reason).add(1);
      if (!isCall) countOverload(instruments, overloads, error);
    },
    acknowledged(acks, flush, durationMs) {
      const key = `${acks}/${flush}`;
      let latency = latencies.get(key);
      if (latency === undefined) {
        latency = instruments.produceLatency.with(acks, flush);
        latencies.set(key, latency);
      }
      latency.observe(durationMs / 1000);
    },
    fetchRefused(error, isCall = false) {
      instruments.fetchRequests.with(error.reason).add(1);
      if (!isCall) countOverload(instruments, overloads, error);
    },
    fetched(result, durationMs) {
      instruments.fetchRequests.with(result).add(1);
      fetchLatency.observe(durationMs / 1000);
    },
    forTopic: (name) => recorderOf(instruments, overloads, name),
    forgetTopic(name) {
      for (const key of BY_TOPIC) instruments[key].remove(name);
    },
  };
}

/** Which limit refused: the field that every OVERLOADED carries. */
export function countOverload(
  instruments: Instruments,
  overloads: OverloadLog,
  error: BrokerError,
): void {
  if (error.reason !== "OVERLOADED") return;
  const { limit } = error.fields;
  const name = typeof limit === "string" ? limit : "other";
  instruments.overloads.with(name).add(1);
  overloads.note(name);
}
