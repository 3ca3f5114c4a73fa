// `flotilla cluster rebalance` and `flotilla cluster metadata-voters`: what follows when nodes were added.
import type { AdminPort, PlannedMove } from "../client-port.ts";
import { type Context, type GlobalOptions, withClient } from "../context.ts";
import { usage } from "../options.ts";
import { printRows } from "../table.ts";
import { watchMoves } from "../watch-moves.ts";

export interface RebalanceOptions extends GlobalOptions {
  readonly plan?: boolean;
  readonly execute?: boolean;
  readonly watch?: boolean;
}

export async function clusterRebalance(options: RebalanceOptions, context: Context): Promise<void> {
  const isExecuted = options.execute === true;
  if (isExecuted && options.plan === true) throw usage("give --plan or --execute, not both");
  if (options.watch === true && !isExecuted) throw usage("--watch goes with --execute");
  await withClient(context, options, async ({ admin }) => {
    const { begun, metadataIndex, moves } = await admin.members.rebalance(isExecuted);
    print(moves, options, context);
    if (moves.length === 0 || options.output === "json") {
      if (options.watch === true) await follow(admin, context, metadataIndex);
      return;
    }
    if (!isExecuted) {
      context.terminal.note(
        "nothing was changed; begin these moves with: flotilla cluster rebalance --execute",
      );
      return;
    }
    context.terminal.note(`${begun} moves begun; see: flotilla replica list`);
    if (options.watch !== true) return;
    await follow(admin, context, metadataIndex);
    context.terminal.note("replicas are spread evenly");
  });
}

/** A plan moves each partition once; where that is not enough, the next plan goes on. */
async function follow(admin: AdminPort, context: Context, sinceIndex: number): Promise<void> {
  for (let index = sinceIndex; ; ) {
    await watchMoves(admin, context, index, "rebalance", () => true);
    const { begun, metadataIndex } = await admin.members.rebalance(true);
    if (begun === 0) return;
    index = metadataIndex;
  }
}

function print(moves: readonly PlannedMove[], options: RebalanceOptions, context: Context): void {
  printRows(
    context.terminal,
    options.output,
    moves,
    [
      { title: "PARTITION", text: (move) => `${move.topic}/${move.partition}` },
      {
        title: "FROM",
        text: (move) => (move.fromNode === 0 ? "–" : move.fromNode),
        align: "right",
      },
      { title: "TO", text: (move) => move.toNode, align: "right" },
    ],
    "replicas are spread as evenly as single moves can make them",
  );
}

export async function metadataVoters(
  count: number,
  options: GlobalOptions,
  context: Context,
): Promise<void> {
  await withClient(context, options, ({ admin }) => admin.members.setMetadataVoters(count));
  if (options.output === "json") context.terminal.line(JSON.stringify({ metadataVoters: count }));
  else {
    context.terminal.note(
      `${count} nodes shall vote in the metadata group; see: flotilla node list`,
    );
  }
}
