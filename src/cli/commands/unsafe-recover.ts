// `flotilla unsafe-recover`: the last resort for a partition whose majority will not come back. Shows what the survivors
// hold, says what is lost and what cannot be known, asks, and lets the partition go on from one of them.
import type { AdminPort, PartitionName, ReplicaView } from "../client-port.ts";
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { printRows } from "../table.ts";
import { watchMoves } from "../watch-moves.ts";
import { parsePartition } from "./replica.ts";

/** Brokers that are gone do not answer; those that live do at once. */
const INSPECT_TIMEOUT_MS = 3000;

export interface RecoverOptions extends GlobalOptions {
  readonly from?: number;
  readonly yesIAcceptDataLoss?: boolean;
  readonly watch?: boolean;
}

interface Seen {
  readonly nodeId: number;
  /** Undefined: the node does not answer, or holds no replica. */
  readonly view: ReplicaView | undefined;
}

export async function unsafeRecover(
  place: string,
  options: RecoverOptions,
  context: Context,
): Promise<void> {
  const name = parsePartition(place);
  await withClient(context, options, async ({ admin }) => {
    const seen = await inspectAll(admin, name);
    const survivor = choose(place, seen, options.from);
    if (options.output === "table") print(seen, context);
    for (const line of lossText(place, seen, survivor)) context.terminal.note(line);
    await confirm(place, survivor, options, context);
    const { metadataIndex, replicas } = await admin.members.unsafeRecover(name, survivor);
    if (options.watch === true) {
      await watchMoves(admin, context, metadataIndex, place, (move) => isSame(move, name));
    }
    if (options.output === "json") {
      const from = survivor.nodeId;
      context.terminal.line(JSON.stringify({ ...name, from, replicas, seen }));
      return;
    }
    context.terminal.note(
      `${place} goes on from node ${survivor.nodeId} and gets ${replicas} replicas; see: flotilla replica list`,
    );
  });
}

async function inspectAll(admin: AdminPort, name: PartitionName): Promise<readonly Seen[]> {
  const nodes = await admin.members.nodesOf(name);
  if (nodes.length === 0) {
    throw new CliError(
      EXIT.DATA,
      `topic ${name.topic} has no partition ${name.partition}`,
      `see: flotilla topic describe ${name.topic}`,
    );
  }
  return Promise.all(
    nodes.map(async (nodeId) => {
      try {
        return {
          nodeId,
          view: await admin.members.inspectReplica(nodeId, name, INSPECT_TIMEOUT_MS),
        };
      } catch {
        return { nodeId, view: undefined };
      }
    }),
  );
}

/** The named survivor, or the one whose log reaches furthest. */
function choose(place: string, seen: readonly Seen[], from: number | undefined): ReplicaView {
  const views = seen.flatMap(({ view }) => (view === undefined ? [] : [view]));
  const answering = views.find((view) => view.quorumAnswers);
  if (answering !== undefined) {
    const { leaderId, voters, votersAlive } = answering;
    throw new CliError(
      EXIT.FAILED,
      leaderId === 0
        ? `${votersAlive.length} of ${voters.length} voters of ${place} are alive and can elect a leader`
        : `${place} has a leader: node ${leaderId}`,
      "nothing needs to be forced",
    );
  }
  const [best] = [...views].sort((a, b) => b.lastTerm - a.lastTerm || b.lastIndex - a.lastIndex);
  const named = from === undefined ? best : views.find((view) => view.nodeId === from);
  if (named !== undefined) return named;
  throw new CliError(
    EXIT.FAILED,
    from === undefined
      ? `no node with a replica of ${place} answers`
      : `node ${from} does not answer or has no replica of ${place}`,
    "a partition can go on only from a replica that is there; see: flotilla topic describe",
  );
}

function print(seen: readonly Seen[], context: Context): void {
  const text =
    (read: (view: ReplicaView) => number) =>
    ({ view }: Seen): string | number =>
      view === undefined ? "–" : read(view);
  printRows(
    context.terminal,
    "table",
    seen,
    [
      { title: "NODE", text: (row) => row.nodeId, align: "right" },
      { title: "ANSWERS", text: (row) => (row.view === undefined ? "no" : "yes") },
      { title: "RECOVERING", text: ({ nodeId }) => (isRecovering(seen, nodeId) ? "yes" : "no") },
      { title: "LAST TERM", text: text((view) => view.lastTerm), align: "right" },
      { title: "LAST INDEX", text: text((view) => view.lastIndex), align: "right" },
      { title: "COMMITTED", text: text((view) => view.commitIndex), align: "right" },
      { title: "FIRST OFFSET", text: text((view) => view.logStartOffset), align: "right" },
      { title: "END OFFSET", text: text((view) => view.endOffset), align: "right" },
    ],
    "no replicas",
  );
}

/** By what anybody says: the others heard it from the replica itself. */
function isRecovering(seen: readonly Seen[], nodeId: number): boolean {
  return seen.some(({ view }) => view?.recovering.includes(nodeId) === true);
}

/** What is known, and what nobody can know. */
export function lossText(
  place: string,
  seen: readonly Seen[],
  survivor: ReplicaView,
): readonly string[] {
  const gone = seen.filter(({ view }) => view === undefined).map(({ nodeId }) => nodeId);
  const { commitIndex, endOffset, highWatermark, lastIndex, nodeId } = survivor;
  const undecided = lastIndex - commitIndex;
  const longer = seen.filter(
    ({ view }) => view !== undefined && view.nodeId !== nodeId && isFurther(view, survivor),
  );
  return [
    `${place} would go on from node ${nodeId}, whose log ends at index ${lastIndex}, offset ${endOffset}.`,
    `Lost: whatever only node ${gone.join(", ") || "–"} had. Messages from offset ${endOffset} on may have been acknowledged; how many, nobody can know any more.`,
    undecided === 0
      ? `Everything up to offset ${endOffset} is known to be committed and stays.`
      : `${undecided} entries from offset ${highWatermark} on are not known to be committed; they count as committed from now on, though their senders may have been told otherwise.`,
    ...longer.map(
      ({ nodeId: other }) =>
        `Warning: node ${other} has more than node ${nodeId}; that is given up, too.`,
    ),
    ...forgottenText(seen),
    "The lost replicas are shut out: make sure that they do not run. Should they come back, what they hold goes to their trash.",
  ];
}

/** Replicas that answer, but cannot be counted on. */
function forgottenText(seen: readonly Seen[]): readonly string[] {
  const nodes = seen.filter(({ nodeId }) => isRecovering(seen, nodeId)).map((one) => one.nodeId);
  if (nodes.length === 0) return [];
  return [
    `Node ${nodes.join(", ")} lost power and may have forgotten what it acknowledged. The partition elects a leader by itself once enough of the others are back, or all: wait for them if you can.`,
  ];
}

function isFurther(a: ReplicaView, b: ReplicaView): boolean {
  return a.lastTerm > b.lastTerm || (a.lastTerm === b.lastTerm && a.lastIndex > b.lastIndex);
}

async function confirm(
  place: string,
  survivor: ReplicaView,
  options: RecoverOptions,
  context: Context,
): Promise<void> {
  if (options.yesIAcceptDataLoss === true) return;
  if (!context.terminal.isInteractive) {
    throw new CliError(
      EXIT.USAGE,
      `this gives up what only the lost replicas of ${place} had, for good`,
      `if that is meant: flotilla unsafe-recover ${place} --from ${survivor.nodeId} --yes-i-accept-data-loss`,
    );
  }
  const answer = await context.terminal.ask(`Type ${place} to accept this loss: `);
  if (answer !== place) throw new CliError(EXIT.FAILED, "nothing was changed");
}

function isSame(a: PartitionName, b: PartitionName): boolean {
  return a.topic === b.topic && a.partition === b.partition;
}
