import { describe, expect, test } from "vitest";
import { lostVoters, quorumAnswers } from "../../src/broker/metadata-quorum.ts";
import type { ReplicaId } from "../../src/model/ids.ts";
import { id } from "../cluster/support.ts";

const [A, B, C, D, E] = [1, 2, 3, 4, 5].map((nodeId) => id(nodeId, 0)) as [
  ReplicaId,
  ReplicaId,
  ReplicaId,
  ReplicaId,
  ReplicaId,
];
/** Node 3 with another disk. */
const C9 = id(3, 9);
const A9 = id(1, 9);

const CASES: readonly (readonly [
  string,
  { readonly voters: readonly ReplicaId[]; readonly outgoing?: readonly ReplicaId[] },
  readonly number[],
  boolean,
  readonly number[],
])[] = [
  ["of three, nobody else answers", { voters: [A, B, C] }, [], false, [2, 3]],
  ["of three, one more answers", { voters: [A, B, C] }, [2], true, [3]],
  ["who has no vote does not count", { voters: [A, B, C] }, [4, 5], false, [2, 3]],
  ["the only voter", { voters: [A] }, [], true, []],
  [
    "joint: a majority of all, but not of the new half",
    { voters: [A, D, E], outgoing: [A, B, C] },
    [2, 3],
    false,
    [4, 5],
  ],
  [
    "joint: a majority of each half, half of all nodes",
    { voters: [A, B, D], outgoing: [A, B, C] },
    [2],
    true,
    [3, 4],
  ],
  [
    "joint: a majority of the new half only",
    { voters: [A, D, E], outgoing: [A, B, C] },
    [4],
    false,
    [2, 3, 5],
  ],
  [
    "joint: a node's new disk does not vote for its former one",
    { voters: [A, B, C9], outgoing: [A, B, C] },
    [3],
    false,
    [2, 3],
  ],
  [
    "this node's other replica is not the one on its disk",
    { voters: [A9, B, C] },
    [2],
    false,
    [1, 3],
  ],
  ["the decree of a recovery that was interrupted", { voters: [A9] }, [], false, [1]],
];

describe("quorum of the metadata group, as a stopped broker's directory tells", () => {
  test.each(CASES)("%s", (_, membership, answering, answers, lost) => {
    const view = { membership: { ...membership, learners: [] }, replicaId: A };
    expect(quorumAnswers(view, answering)).toBe(answers);
    expect(lostVoters(view, answering)).toEqual(lost);
  });
});
