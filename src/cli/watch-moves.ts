// Waiting for replicas to arrive: asks every second how far they are and shows it. Used by the commands that begin moves.
import type { AdminPort, MoveDetails } from "./client-port.ts";
import type { Context } from "./context.ts";
import { EXIT } from "./exit-codes.ts";
import { CliError } from "./failure.ts";
import { pause } from "./node-process.ts";
import { humanBytes } from "./table.ts";

const EVERY_MS = 1000;
/** Where nothing can be overwritten, a line now and then must do. */
const NOTE_EVERY_MS = 5000;

/** Shows progress: in place on a terminal, as a line now and then elsewhere. */
class ProgressLine {
  readonly #terminal: Context["terminal"];
  #shown = "";
  #notedAtMs = Number.NEGATIVE_INFINITY;

  constructor(terminal: Context["terminal"]) {
    this.#terminal = terminal;
  }

  show(text: string): void {
    this.#terminal.status(text);
    const nowMs = performance.now();
    const isDue = text !== this.#shown && nowMs - this.#notedAtMs >= NOTE_EVERY_MS;
    if (this.#terminal.canTalk || !isDue) return;
    this.#shown = text;
    this.#notedAtMs = nowMs;
    this.#terminal.note(text);
  }
}

/**
 * Resolves when none of the moves is under way any more.
 * @param sinceIndex answers of brokers that are older do not know of the moves yet
 * @param subject what is waited for, e.g. "orders/3"
 * @throws CliError FAILED when it was interrupted; the moves go on
 */
export async function watchMoves(
  admin: AdminPort,
  context: Context,
  sinceIndex: number,
  subject: string,
  isMeant: (move: MoveDetails) => boolean,
): Promise<void> {
  const line = new ProgressLine(context.terminal);
  for (;;) {
    const { metadataIndex, moves } = await admin.members.listMoves(0);
    const meant = moves.filter(isMeant);
    if (meant.length === 0 && metadataIndex >= sinceIndex) return;
    line.show(`${subject}: ${progressText(meant, meant.length)}`);
    await nextLook(context, subject);
  }
}

/**
 * Resolves when the node is not registered any more.
 * @throws CliError FAILED when somebody cancelled it, or the command was interrupted; the node goes on leaving then
 */
export async function watchDecommission(
  admin: AdminPort,
  context: Context,
  sinceIndex: number,
  nodeId: number,
): Promise<void> {
  const line = new ProgressLine(context.terminal);
  const subject = `node ${nodeId}`;
  for (;;) {
    const { metadataIndex, nodes } = await admin.describeCluster();
    if (metadataIndex < sinceIndex) {
      await nextLook(context, subject);
      continue;
    }
    const node = nodes.find((other) => other.nodeId === nodeId);
    if (node === undefined) return;
    if (!node.decommissioning) {
      throw new CliError(EXIT.FAILED, `${subject} stays: its decommissioning was cancelled`);
    }
    const { moves } = await admin.members.listMoves(nodeId);
    const text =
      node.partitionsLeft === 0
        ? node.metadataVoter
          ? "its vote in the metadata group moves"
          : "empty, about to be unregistered"
        : progressText(moves, node.partitionsLeft);
    line.show(`${subject}: ${text}`);
    await nextLook(context, subject);
  }
}

export function progressText(moves: readonly MoveDetails[], partitions: number): string {
  const known = moves.filter((move) => move.isKnown);
  const bytes = known.reduce((sum, move) => sum + move.bytesLeft, 0);
  const leaderless = moves.filter((move) => move.leaderId === 0).length;
  const stuck = leaderless === 0 ? "" : `, ${leaderless} without a leader`;
  const left = `${partitions === 1 ? "1 partition" : `${partitions} partitions`} left${stuck}`;
  if (known.length === 0) return left;
  const unknown = known.length < moves.length ? " or more" : "";
  return `${left}, about ${humanBytes(bytes)}${unknown} to copy`;
}

async function nextLook(context: Context, subject: string): Promise<void> {
  await pause(EVERY_MS);
  if (!context.signal.aborted) return;
  throw new CliError(
    EXIT.FAILED,
    `stopped watching; ${subject} goes on by itself`,
    "look at it with: flotilla replica list, flotilla node list",
  );
}
