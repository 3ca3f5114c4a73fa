// Adds shards of delivery up by mode, and says what the sum still lacks of what is demanded. Used by evidence.ts.
import { quantile } from "../../chaos/evidence/totals.ts";
import type { DeliveryMode, DeliveryShard } from "./shard.ts";

/** Of each mode. */
const KILLS = 20;
const MESSAGES = 100_000;
/** Confirmed while the faults lasted, of what was acknowledged to senders. */
const CONFIRMED_SHARE = 0.9;
export const MODES: readonly DeliveryMode[] = ["shared", "keyed", "fifo", "exclusive"];

type Summed = Omit<
  DeliveryShard,
  "version" | "type" | "src" | "tests" | "seed" | "beganMs" | "examined"
>;

export interface ModeTotals extends Summed {
  readonly shards: number;
  readonly orderExamined: number;
}

/** @param shards of any modes */
export function sumMode(mode: DeliveryMode, shards: readonly DeliveryShard[]): ModeTotals {
  const own = shards.filter((shard) => shard.mode === mode);
  const anomalies: Record<string, number> = {};
  for (const [kind, count] of own.flatMap((shard) => Object.entries(shard.anomalies))) {
    anomalies[kind] = (anomalies[kind] ?? 0) + count;
  }
  const sum = (of: (shard: DeliveryShard) => number): number =>
    own.reduce((total, shard) => total + of(shard), 0);
  return {
    mode,
    shards: own.length,
    leaderKills: sum((shard) => shard.leaderKills),
    leaderBites: sum((shard) => shard.leaderBites),
    consumerKills: sum((shard) => shard.consumerKills),
    consumerBites: sum((shard) => shard.consumerBites),
    sent: sum((shard) => shard.sent),
    acknowledged: sum((shard) => shard.acknowledged),
    delivered: sum((shard) => shard.delivered),
    confirmed: sum((shard) => shard.confirmed),
    confirmedDuring: sum((shard) => shard.confirmedDuring),
    refused: sum((shard) => shard.refused),
    deadLetters: sum((shard) => shard.deadLetters),
    seconds: sum((shard) => shard.seconds),
    tookOverMs: own.flatMap((shard) => shard.tookOverMs),
    orderExamined: sum((shard) => shard.examined["order-broken"] ?? 0),
    anomalies,
    problems: own.flatMap(({ problems, seed }) => problems.map((one) => `seed ${seed}: ${one}`)),
  };
}

export function anomaliesOf({ anomalies }: ModeTotals): number {
  return Object.values(anomalies).reduce((total, count) => total + count, 0);
}

export function confirmedShare({ acknowledged, confirmedDuring }: ModeTotals): number {
  return confirmedDuring / Math.max(1, acknowledged);
}

/** What more runs would bring. */
export function shortcomingsOf(totals: ModeTotals): string[] {
  const { acknowledged, consumerKills, leaderBites, mode, orderExamined } = totals;
  const lacking: string[] = [];
  if (leaderBites < KILLS) lacking.push(`${leaderBites} of ${KILLS} kills of leaders`);
  if (consumerKills < KILLS) lacking.push(`${consumerKills} of ${KILLS} kills of consumers`);
  if (acknowledged < MESSAGES) lacking.push(`${acknowledged} of ${MESSAGES} messages`);
  if (mode !== "shared" && orderExamined === 0) lacking.push("no order was looked at");
  return lacking.map((text) => `${mode}: ${text}`);
}

/** What is wrong. */
export function problemsOf(totals: ModeTotals): string[] {
  const { mode, shards } = totals;
  const found = [...totals.problems];
  for (const [kind, count] of Object.entries(totals.anomalies)) {
    if (count > 0) found.push(`${count} ${kind}`);
  }
  const share = confirmedShare(totals);
  if (shards > 0 && share < CONFIRMED_SHARE) {
    found.push(`${Math.round(share * 100)} % were confirmed during the faults`);
  }
  return found.map((text) => `${mode}: ${text}`);
}

/** Name and what stands in the row, mode by mode. */
export const ROWS: readonly (readonly [string, (totals: ModeTotals) => string | number])[] = [
  ["shards", ({ shards }) => shards],
  ["leaders killed", ({ leaderKills }) => leaderKills],
  ["  with effect", ({ leaderBites }) => leaderBites],
  ["take-over p50, ms", ({ tookOverMs }) => quantile(tookOverMs, 0.5)],
  ["  p99", ({ tookOverMs }) => quantile(tookOverMs, 0.99)],
  ["  worst", ({ tookOverMs }) => quantile(tookOverMs, 1)],
  ["consumers killed", ({ consumerKills }) => consumerKills],
  ["  that held messages", ({ consumerBites }) => consumerBites],
  ["messages sent", ({ sent }) => sent],
  ["  acknowledged", ({ acknowledged }) => acknowledged],
  ["deliveries to handlers", ({ delivered }) => delivered],
  ["messages confirmed", ({ confirmed }) => confirmed],
  ["  during the faults, %", (totals) => (100 * confirmedShare(totals)).toFixed(1)],
  ["settlements refused as stale", ({ refused }) => refused],
  ["dead letters", ({ deadLetters }) => deadLetters],
  ["order looked at, deliveries", ({ orderExamined }) => orderExamined],
  ["seconds", ({ seconds }) => seconds],
  ["anomalies", anomaliesOf],
];
