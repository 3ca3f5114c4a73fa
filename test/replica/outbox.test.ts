import { describe, expect, it } from "vitest";
import type { GroupId, NodeId, ReplicaId } from "../../src/model/ids.ts";
import { replicaIdOf } from "../../src/model/ids.ts";
import { Outbox } from "../../src/replica/outbox.ts";
import type { GroupMessage } from "../../src/replica/ports.ts";

function heartbeat(groupId: number, to: ReplicaId): GroupMessage {
  const from = replicaIdOf(1 as NodeId, 0);
  const commits = { commitIndex: 0, durableCommitIndex: 0 };
  const numbers = { term: 1, ...commits, readRound: 0, fenceIncarnation: 0, fenceIndex: 0 };
  return { groupId: groupId as GroupId, message: { kind: "heartbeat", from, to, ...numbers } };
}

describe("outbox", () => {
  it("a turn's messages: are one send per node, in order, whatever the group or revision", () => {
    const sends: [NodeId, number[]][] = [];
    const outbox = new Outbox({
      send: (to, messages) => sends.push([to, messages.map(({ groupId }) => groupId)]),
      sendImage: () => undefined,
      hasRoom: () => true,
    });
    const [two, three] = [2 as NodeId, 3 as NodeId];
    outbox.add(heartbeat(7, replicaIdOf(two, 0)));
    outbox.add(heartbeat(7, replicaIdOf(three, 0)));
    outbox.add(heartbeat(8, replicaIdOf(two, 5)));
    outbox.flush();
    outbox.flush();
    expect(sends).toEqual([
      [2, [7, 8]],
      [3, [7]],
    ]);
  });
});
