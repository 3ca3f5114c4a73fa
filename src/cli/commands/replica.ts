// `flotilla replica …`: replicas that are moved from node to node.
import type { MoveDetails, PartitionName } from "../client-port.ts";
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { usage } from "../options.ts";
import { humanBytes, printRows } from "../table.ts";
import { watchMoves } from "../watch-moves.ts";

export interface MoveOptions extends GlobalOptions {
  /** Undefined: a missing replica is added. */
  readonly from?: number;
  readonly to: number;
  readonly watch?: boolean;
}

export async function replicaMove(
  place: string,
  options: MoveOptions,
  context: Context,
): Promise<void> {
  const name = parsePartition(place);
  const { from: fromNode = 0, to: toNode } = options;
  await withClient(context, options, async ({ admin }) => {
    const move = { ...name, fromNode, toNode };
    const { changed, metadataIndex } = await admin.members.moveReplica(move);
    if (options.watch === true) await watchMoves(admin, context, metadataIndex, place, isOf(name));
    if (options.output === "json") {
      const done = options.watch === true;
      context.terminal.line(JSON.stringify({ ...name, fromNode, toNode, changed, done }));
      return;
    }
    context.terminal.note(moveText(place, options, changed));
  });
}

function moveText(place: string, { from, to, watch }: MoveOptions, changed: boolean): string {
  const origin = from === undefined ? "" : ` from node ${from}`;
  if (watch === true) return `${place} has its replica on node ${to} now`;
  if (!changed) return `${place} has a replica on node ${to} already`;
  return `${place} is moving${origin} to node ${to}; look at it with: flotilla replica list; stop it with: flotilla replica cancel ${place}`;
}

export interface CancelOptions extends GlobalOptions {
  readonly watch?: boolean;
}

export async function replicaCancel(
  place: string,
  options: CancelOptions,
  context: Context,
): Promise<void> {
  const name = parsePartition(place);
  await withClient(context, options, async ({ admin }) => {
    const { changed, metadataIndex } = await admin.members.cancelMove(name);
    if (!changed) {
      throw new CliError(
        EXIT.FAILED,
        `${place} has no move that could be cancelled`,
        "see what is moving with: flotilla replica list",
      );
    }
    if (options.watch === true) await watchMoves(admin, context, metadataIndex, place, isOf(name));
    if (options.output === "json")
      context.terminal.line(JSON.stringify({ ...name, cancelled: true }));
    else context.terminal.note(`${place} goes back to its former replicas`);
  });
}

export async function replicaList(options: GlobalOptions, context: Context): Promise<void> {
  const { moves, total } = await withClient(context, options, ({ admin }) =>
    admin.members.listMoves(0),
  );
  printRows(
    context.terminal,
    options.output,
    moves,
    [
      { title: "PARTITION", text: (move) => `${move.topic}/${move.partition}` },
      {
        title: "LEADER",
        text: (move) => (move.leaderId === 0 ? "none" : move.leaderId),
        align: "right",
      },
      { title: "REPLICAS", text: (move) => move.replicas.join(",") },
      { title: "LEAVING", text: (move) => move.leaving.join(",") },
      { title: "BECAUSE", text: causeText },
      {
        title: "BEHIND",
        text: (move) => (move.isKnown ? move.replicasBehind : "?"),
        align: "right",
      },
      {
        title: "TO COPY",
        text: (move) => (move.isKnown ? humanBytes(move.bytesLeft) : "?"),
        align: "right",
      },
    ],
    "no replica is moving",
  );
  if (total > moves.length) context.terminal.note(`and ${total - moves.length} more`);
}

function causeText(move: MoveDetails): string {
  const cause = move.causeNode === 0 ? "moved" : `node ${move.causeNode} leaves`;
  return move.cancelled ? `${cause}, cancelled` : cause;
}

/** "orders/3", "shop/orders/3" → topic and partition. */
export function parsePartition(place: string): PartitionName {
  const match = /^(?<topic>.+)\/(?<partition>\d{1,4})$/.exec(place);
  const { partition, topic } = match?.groups ?? {};
  if (topic === undefined || partition === undefined) {
    throw usage(`a partition is written topic/number, e.g. orders/3, not "${place}"`);
  }
  return { topic, partition: Number(partition) };
}

function isOf(name: PartitionName): (move: MoveDetails) => boolean {
  return (move) => move.topic === name.topic && move.partition === name.partition;
}
