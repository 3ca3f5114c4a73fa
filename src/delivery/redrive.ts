// Sends dead letters of one partition back to their subscription: some per call, stored before they are settled, under ids that
// make a repetition harmless (docs/adr/0016). Called by the broker's service on the leader of the dead letter partition.
import type { CompiledFilter } from "../filter/compile-filter.ts";
import { BrokerError } from "../model/errors.ts";
import type { Offset } from "../model/positions.ts";
import { redriveTopicOf } from "../model/subscription.ts";
import { redrivenHeaders } from "./dead-letter-facts.ts";
import { scanDeadLetters } from "./dead-letter-scan.ts";
import type { FoundLetter } from "./dead-letter-view.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import type { DeliveryRunner } from "./delivery-runner.ts";
import type { DeliveryPartition, RedriveReceipt, RedriveSink } from "./ports.ts";
import { rangesOf } from "./retry-offers.ts";

export interface RedriveWish {
  readonly subscription: string;
  readonly from: Offset;
  /** Exclusive, not above the high watermark. */
  readonly to: Offset;
  readonly limit: number;
  readonly filter: CompiledFilter;
  readonly nowMs: number;
}

export interface RedrivenPlace extends RedriveReceipt {
  readonly letter: FoundLetter;
}

export interface RedriveOutcome {
  readonly lookedAt: number;
  readonly matching: number;
  readonly held: number;
  readonly messages: readonly RedrivenPlace[];
  readonly nextOffset: Offset;
}

/**
 * Only counts.
 * @param ledger undefined: nothing is dealt with yet
 * @throws BrokerError as scanDeadLetters
 */
export async function planRedrive(
  partition: DeliveryPartition,
  ledger: DeliveryRunner | undefined,
  wish: RedriveWish,
): Promise<RedriveOutcome> {
  const settled = ledger?.state.settled;
  const scan = await scanDeadLetters(partition, { ...wish, settled, openOnly: true });
  const { found, lookedAt, nextOffset } = scan;
  const held = found.filter((letter) => isHeld(ledger, letter)).length;
  return { lookedAt, matching: found.length, held, messages: [], nextOffset };
}

/**
 * Stores, then settles. When some could not be stored the others are settled, and the next call begins with the first that is
 * left.
 * @throws BrokerError when none could be stored; as DeliveryPartition.propose (stored, perhaps not settled: to be repeated)
 */
export async function redrive(
  ledger: DeliveryRunner,
  wish: RedriveWish,
  sink: RedriveSink,
): Promise<RedriveOutcome> {
  const { partition, state } = ledger;
  const scanned = { ...wish, settled: state.settled, openOnly: true };
  const { found, lookedAt, nextOffset } = await scanDeadLetters(partition, scanned);
  requireOpen(ledger);
  const free = found.filter((letter) => !isHeld(ledger, letter));
  const counts = { lookedAt, matching: found.length, held: found.length - free.length };
  if (free.length === 0) return { ...counts, messages: [], nextOffset };
  const letters = free.map((letter) => redrivenLetterOf(ledger, letter));
  const { error, receipts } = await sink.redrive(redriveTopicOf(wish.subscription), letters);
  const messages = free.flatMap((letter, at) => {
    const receipt = receipts[at];
    return receipt === undefined ? [] : [{ ...receipt, letter }];
  });
  if (error !== undefined && messages.length === 0) throw error;
  requireOpen(ledger);
  await settle(ledger, rangesOf(messages.map(({ letter }) => letter.record.offset)));
  const missing = free.find((_, at) => receipts[at] === undefined);
  return { ...counts, messages, nextOffset: missing?.record.offset ?? nextOffset };
}

/** Somebody takes care of it by hand. */
function isHeld(ledger: DeliveryRunner | undefined, { record }: FoundLetter): boolean {
  if (ledger === undefined) return false;
  const { kind } = ledger.explain(record.offset).fate;
  return kind === "leased" || kind === "settling" || kind === "delayed";
}

function redrivenLetterOf(ledger: DeliveryRunner, { facts, record }: FoundLetter) {
  const { key, timestampMs, value } = record;
  const headers = redrivenHeaders(record.headers, facts);
  const { partition, state } = ledger;
  // With the ledger's own id letters can be redriven once more after it was deleted.
  const id = `${state.id}/${partition.topicId}/${partition.partition}/${record.offset}`;
  return { key, value, timestampMs, headers, id };
}

/** What is settled is not handed out; consumers of the ledger hold none of it. */
async function settle(ledger: DeliveryRunner, ranges: readonly OffsetRange[]): Promise<void> {
  const { id } = ledger.state;
  const updates = [{ id, settle: ranges }];
  const { notAttached } = await ledger.partition.propose({ type: "deliver", updates });
  if (notAttached?.includes(id) !== true) return;
  throw new BrokerError("UNKNOWN_SUBSCRIPTION", "the ledger of dead letters was deleted meanwhile");
}

function requireOpen({ isClosed, partition }: DeliveryRunner): void {
  if (isClosed) throw partition.notLeader();
}
