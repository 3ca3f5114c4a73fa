// The kinds of anomalies that are looked for, with their numbers in the catalogue that README.md lists. Stored in reports;
// names are stable.

export type AnomalyKind =
  | "lost-acknowledged-write"
  | "unseen-tail"
  | "duplicate-in-log"
  | "offset-divergence"
  | "receipt-mismatch"
  | "aborted-read"
  | "non-monotonic-read"
  | "skipped-offset"
  | "disordered-response"
  | "send-reorder"
  | "stale-read"
  | "two-leaders"
  | "phantom"
  | "stuck-partition"
  | "truncated-after-recovery"
  | "replica-divergence"
  | "metadata-split"
  | "dirty-log"
  | "resource-leak"
  | "wrong-outcome"
  | "redelivered-after-ack"
  | "delivered-twice-at-once"
  | "order-broken"
  | "stuck-consumer"
  | "cursor-regress"
  | "forgotten-ack"
  | "lost-dead-letter"
  | "doubled-dead-letter"
  | "unwanted-delivery"
  | "lost-message"
  | "stale-settlement-accepted"
  | "wrong-attempts"
  | "wrong-death"
  | "delivered-while-paused"
  | "wrong-delivery"
  | "duplicate-value-sent"
  | "unmatched-end"
  | "unmatched-settlement";

export interface CatalogueRow {
  /** Number in the catalogue; "–" for defects of receipts and of the history itself. */
  readonly id: string;
  readonly title: string;
}

export const CATALOGUE: Readonly<Record<AnomalyKind, CatalogueRow>> = {
  "lost-acknowledged-write": { id: "A1", title: "acknowledged or visible, and gone" },
  "unseen-tail": { id: "A2", title: "acknowledged, and nobody read so far" },
  "duplicate-in-log": { id: "A3", title: "one value at two places" },
  "offset-divergence": { id: "A5", title: "one place held two values" },
  "receipt-mismatch": { id: "–", title: "the receipt names another place than the log" },
  "aborted-read": { id: "A6", title: "visible, though its send was refused" },
  "non-monotonic-read": { id: "A10", title: "a reader went back" },
  "skipped-offset": { id: "A11", title: "a reader passed over records" },
  "disordered-response": { id: "A12", title: "one response goes back or leaves records out" },
  "send-reorder": { id: "A13", title: "stored in another order than sent" },
  "stale-read": { id: "A15", title: "an answer older than the lease allows" },
  "two-leaders": { id: "A16", title: "two leaders acknowledged" },
  phantom: { id: "A17", title: "read, and never sent like this" },
  "stuck-partition": { id: "A19", title: "no acknowledgement with a healthy majority" },
  "truncated-after-recovery": { id: "A25", title: "the high watermark is below what was promised" },
  "replica-divergence": { id: "A26", title: "replicas hold different bytes" },
  "metadata-split": { id: "A27", title: "nodes disagree about metadata of one index" },
  "dirty-log": { id: "A28", title: "errors in a log, or an exit that nobody caused" },
  "resource-leak": { id: "A29", title: "an idle process does not give back what it used" },
  "wrong-outcome": { id: "I28", title: "QueryOutcome contradicts the log" },
  "redelivered-after-ack": { id: "A4", title: "delivered again after its ack was confirmed" },
  "delivered-twice-at-once": { id: "A4", title: "two consumers held one message" },
  "order-broken": { id: "A14", title: "a later message of a key overtook an earlier one" },
  "stuck-consumer": { id: "A18", title: "nothing delivered with an idle consumer and a backlog" },
  "cursor-regress": { id: "A20", title: "a cursor went back" },
  "forgotten-ack": { id: "A20", title: "a confirmed ack was forgotten" },
  "lost-dead-letter": { id: "A21", title: "failed for good, and in no dead letter topic" },
  "doubled-dead-letter": { id: "A21", title: "one message, two dead letters" },
  "unwanted-delivery": { id: "A22", title: "delivered, and the filter does not want it" },
  "lost-message": { id: "D1", title: "passed by, or left, without being delivered and settled" },
  "stale-settlement-accepted": {
    id: "D2",
    title: "a settlement of a lease that was over was accepted",
  },
  "wrong-attempts": { id: "D3", title: "more or fewer attempts counted than there were" },
  "wrong-death": { id: "D4", title: "dead before its limit, or handed out beyond it" },
  "delivered-while-paused": { id: "D5", title: "delivered while the subscription was paused" },
  "wrong-delivery": { id: "D6", title: "delivered, and not what was sent" },
  "duplicate-value-sent": { id: "–", title: "the test sent one value twice" },
  "unmatched-settlement": {
    id: "–",
    title: "an event about a delivery that nobody got, or a settlement that nobody asked for",
  },
  "unmatched-end": { id: "–", title: "a send ended twice, or ended without a beginning" },
};
