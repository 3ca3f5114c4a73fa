// What the brokers know of a partition that nobody writes to although somebody should: for whoever has to find out why.
import { createClient } from "../../../src/client/index.ts";
import type { Arena, PlacedView } from "./arena.ts";

const CALL = { timeoutMs: 1000 };

/** One line per replica, as far as its broker answers. */
export async function symptomsOf(arena: Arena, view: PlacedView): Promise<readonly string[]> {
  const { partition, replicas } = view;
  const topic = view.topic.history.name;
  return Promise.all(
    replicas.map(async (id) => {
      const client = createClient({ bootstrap: [arena.cluster.node(id).client] });
      try {
        const state = await client.admin().members.inspectReplica(id, { topic, partition }, CALL);
        const { commitIndex, highWatermark, lastIndex, lastTerm, leaderId, term } = state;
        const log = `last ${lastIndex} of term ${lastTerm}, commit ${commitIndex}, end ${highWatermark}`;
        return `${topic}/${partition} on ${id}: term ${term}, leader ${leaderId}, ${log}`;
      } catch (error) {
        return `${topic}/${partition} on ${id}: ${String(error)}`;
      } finally {
        await client.close({ timeoutMs: 100 });
      }
    }),
  );
}
