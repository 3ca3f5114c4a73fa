import { describe, expect, test } from "vitest";
import {
  heirOf,
  isJoining,
  nextMembership,
  wantedOfMetadata,
} from "../../src/cluster/membership-plan.ts";
import type { MetadataCommand } from "../../src/cluster/metadata-commands.ts";
import { METADATA_GROUP } from "../../src/model/ids.ts";
import { id, members, node, OneReplicaGroup, registration } from "./support.ts";

describe("membership plan", () => {
  const wanted = { voters: [id(1, 0), id(2, 9), id(3, 0)], learners: [] };

  test("replacement: joins as a learner, then takes over in one change", () => {
    const before = members({});
    const joined = nextMembership(before, wanted);
    expect(joined).toEqual({ voters: before.voters, learners: [id(2, 9)] });
    expect(isJoining(before, joined ?? before)).toBe(true);
    const learning = members({ learners: [id(2, 9)] });
    expect(nextMembership(learning, wanted)).toBeUndefined();
    const ready = members({ learners: [id(2, 9)], caughtUp: [id(2, 9)] });
    expect(nextMembership(ready, wanted)).toEqual(wanted);
    expect(isJoining(ready, wanted)).toBe(false);
    expect(nextMembership(members({ voters: wanted.voters }), wanted)).toBeUndefined();
    expect(nextMembership(members({ isChanging: true }), wanted)).toBeUndefined();
  });

  test("heir: a leader that is to go hands over to a voter that stays and has caught up", () => {
    const target = { voters: [id(2, 0), id(3, 0), id(4, 9)], learners: [] };
    const before = members({ caughtUp: [id(1, 0), id(3, 0), id(4, 9)], learners: [id(4, 9)] });
    expect(heirOf(before, target)).toBe(3);
    expect(heirOf(members({}), target)).toBeUndefined();
    expect(heirOf(before, wanted)).toBeUndefined();
  });
});

describe("voters of the metadata group", () => {
  async function metadataOf(count: number, ...commands: readonly MetadataCommand[]) {
    const metadata = new OneReplicaGroup();
    await metadata.registerNodes(Math.min(count, 3));
    for (let nodeId = 4; nodeId <= count; nodeId += 1) {
      await metadata.controller.propose(registration(nodeId, { founder: false }));
    }
    for (const command of commands) await metadata.controller.propose(command);
    return metadata.view.image;
  }
  const founders = members({ groupId: METADATA_GROUP });
  const leaving = (nodeId: number): MetadataCommand => ({
    type: "decommission-node",
    nodeId: node(nodeId),
    successor: 0,
    mustBeFenced: false,
  });

  test("an emptied node's voter is replaced, further nodes learn", async () => {
    const image = await metadataOf(
      4,
      { type: "fence-node", nodeId: node(2), incarnation: 1 },
      registration(2, { directoryId: "new", founder: true }),
    );
    expect(wantedOfMetadata(image, founders)).toEqual({
      voters: [id(1, 0), id(2, 6), id(3, 0)],
      learners: [id(4, 4)],
    });
  });

  test("voters that have not registered yet stay", () => {
    const { image } = new OneReplicaGroup().view;
    const current = members({ groupId: METADATA_GROUP, learners: [id(4, 0)] });
    expect(nextMembership(current, wantedOfMetadata(image, current))).toBeUndefined();
  });

  test("five only by command and only when there are five; silence changes nothing", async () => {
    const three = await metadataOf(5);
    expect(wantedOfMetadata(three, founders).voters).toHaveLength(3);
    const five = await metadataOf(5, { type: "set-metadata-voters", count: 5 });
    const wanted = wantedOfMetadata(five, founders);
    expect(wanted).toEqual({
      voters: [id(1, 0), id(2, 0), id(3, 0), id(4, 4), id(5, 5)],
      learners: [],
    });
    const silent = await metadataOf(
      5,
      { type: "set-metadata-voters", count: 5 },
      { type: "fence-node", nodeId: node(2), incarnation: 1 },
    );
    const current = members({ groupId: METADATA_GROUP, voters: wanted.voters });
    expect(wantedOfMetadata(silent, current)).toEqual(wanted);
  });

  test("back to three: the leader stays, a fenced voter goes first", async () => {
    const image = await metadataOf(5, { type: "fence-node", nodeId: node(1), incarnation: 1 });
    const voters = [id(1, 0), id(2, 0), id(3, 0), id(4, 4), id(5, 5)];
    const current = members({ groupId: METADATA_GROUP, self: id(5, 5), voters });
    expect(wantedOfMetadata(image, current)).toEqual({
      voters: [id(2, 0), id(3, 0), id(5, 5)],
      learners: [id(1, 0), id(4, 4)],
    });
  });

  test("a node about to leave gives its vote away and learns until it is gone", async () => {
    const image = await metadataOf(4, leaving(2));
    expect(wantedOfMetadata(image, founders)).toEqual({
      voters: [id(1, 0), id(3, 0), id(4, 4)],
      learners: [id(2, 0)],
    });
    const gone = await metadataOf(4, leaving(2), {
      type: "unregister-node",
      nodeId: node(2),
      decommissionIndex: 5,
    });
    const current = members({
      groupId: METADATA_GROUP,
      voters: [id(1, 0), id(3, 0), id(4, 4)],
      learners: [id(2, 0)],
    });
    expect(wantedOfMetadata(gone, current)).toEqual({ voters: current.voters, learners: [] });
  });

  test("four nodes with five wanted: three vote, never an even number", async () => {
    const image = await metadataOf(5, { type: "set-metadata-voters", count: 5 }, leaving(4));
    expect(wantedOfMetadata(image, founders).voters).toHaveLength(3);
  });
});
