import { describe, expect, test } from "vitest";
import type { MetadataReplicaView } from "../../src/broker/metadata-recovery.ts";
import { lossText, refuseQuorum } from "../../src/cli/commands/unsafe-recover-metadata.ts";
import type { ReplicaId } from "../../src/model/ids.ts";
import { id } from "../cluster/support.ts";

const [A, B, C, D, E] = [1, 2, 3, 4, 5].map((nodeId) => id(nodeId, 0)) as [
  ReplicaId,
  ReplicaId,
  ReplicaId,
  ReplicaId,
  ReplicaId,
];
/** The replica that a recovery of node 1 makes. */
const NEXT = id(1, 1_000_000_091);

function viewOf(
  voters: readonly ReplicaId[],
  outgoing?: readonly ReplicaId[],
  fields: Partial<MetadataReplicaView> = {},
): MetadataReplicaView {
  const halves = outgoing === undefined ? { voters } : { voters, outgoing };
  return {
    nodeId: 1,
    clusterId: "c",
    replicaId: A,
    lastIndex: 90,
    lastTerm: 4,
    membership: { ...halves, learners: [] },
    isBegun: false,
    ...fields,
  };
}

function refusal(
  view: MetadataReplicaView,
  nodes: readonly number[],
  controllerId = 0,
): string | undefined {
  try {
    refuseQuorum(
      view,
      nodes.map((nodeId) => ({ nodeId, controllerId })),
    );
  } catch (error) {
    return String(error);
  }
  return undefined;
}

describe("unsafe-recover metadata: whether anything has to be forced", () => {
  test.each([
    ["majority gone", viewOf([A, B, C]), []],
    ["a majority of both halves together, not of each", viewOf([A, D, E], [A, B, C]), [2, 3]],
    [
      "a recovery that was interrupted in its log",
      viewOf([NEXT], undefined, { isBegun: true }),
      [],
    ],
    [
      "a recovery that was interrupted at its end",
      viewOf([NEXT], undefined, { replicaId: NEXT, isBegun: true }),
      [],
    ],
  ])("goes on: %s", (_, view, nodes) => {
    expect(refusal(view, nodes)).toBeUndefined();
  });

  test.each([
    ["majority answers", viewOf([A, B, C]), [3]],
    ["a majority of each half, half of all nodes", viewOf([A, B, D], [A, B, C]), [2]],
    ["the only voter", viewOf([A]), []],
  ])("refused: %s", (_, view, nodes) => {
    expect(refusal(view, nodes)).toContain("majority");
  });

  test("refused: somebody knows a leader; that this very node led is no news", () => {
    expect(refusal(viewOf([A, B, C]), [2], 3)).toContain("has a leader: node 3");
    expect(refusal(viewOf([A, B, C, D, E]), [2], 1)).toBeUndefined();
  });

  test("says what would be lost: voters, by the newest configuration, that do not answer", () => {
    const text = lossText(viewOf([A, B, C]), [{ nodeId: 3, controllerId: 0 }]).join("\n");
    expect(text).toContain("ends at index 90, term 4");
    expect(text).toContain("whatever only node 2 had");
  });

  test("says that an interrupted recovery is finished", () => {
    const view = viewOf([NEXT], undefined, { isBegun: true });
    expect(lossText(view, []).join("\n")).toContain("was begun before");
  });
});
