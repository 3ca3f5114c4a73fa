import { describe, expect, it } from "vitest";
import { decodeGroupMessage, encodeGroupMessage } from "../../../src/broker/peer/message-codec.ts";
import { encodeFrame } from "../../../src/model/entry-frame.ts";
import { isBrokerError } from "../../../src/model/errors.ts";
import type { GroupId, ReplicaId } from "../../../src/model/ids.ts";
import { encodeControlFrame, entryOfFrame } from "../../../src/replica/frames.ts";
import type { GroupMessage } from "../../../src/replica/ports.ts";
import { RaftMessage } from "../../../src/rpc/generated/flotilla-internal-v1.ts";

const base = { from: 4097 as ReplicaId, to: 4098 as ReplicaId, term: 7 };
const position = { index: 9, term: 7, baseOffset: 40, appendTimeMs: 1 };
const noop = encodeControlFrame("noop", undefined, position);
const change = { membership: { voters: [base.from, base.to], learners: [] } };
const membership = encodeControlFrame("membership", change, { ...position, index: 10 });
const data = encodeFrame({ kind: "data", recordCount: 0, layoutEpoch: 1, ...position, index: 11 }, [
  { type: 1, ignorable: false, bytes: Buffer.from("{}") },
]);

const fence = { fenceIncarnation: 5, fenceIndex: 6 };

const MESSAGES: readonly GroupMessage["message"][] = [
  { ...base, kind: "vote-request", pre: true, transfer: false, lastIndex: 5, lastTerm: 3 },
  { ...base, kind: "vote-request", pre: false, transfer: true, lastIndex: 5, lastTerm: 3 },
  { ...base, kind: "vote-response", pre: true, granted: true, recovering: false },
  { ...base, kind: "vote-response", pre: false, granted: false, recovering: true },
  {
    ...base,
    kind: "append-request",
    prevIndex: 8,
    prevTerm: 6,
    entries: [entryOfFrame(noop), entryOfFrame(membership), entryOfFrame(data)],
    commitIndex: 8,
    durableCommitIndex: 7,
    flush: true,
  },
  {
    ...base,
    kind: "append-response",
    ok: false,
    matchIndex: 0,
    durableIndex: 0,
    rejectedPrevIndex: 8,
    hintIndex: 4,
    hintTerm: 2,
    incarnation: 3,
    recovering: true,
    damaged: false,
  },
  { ...base, kind: "heartbeat", ...fence, commitIndex: 8, durableCommitIndex: 7, readRound: 2 },
  {
    ...base,
    kind: "heartbeat-response",
    readRound: 2,
    incarnation: 3,
    matchIndex: 8,
    durableIndex: 7,
    recovering: true,
    damaged: true,
  },
  { ...base, kind: "timeout-now" },
  { ...base, kind: "not-member" },
];

function overTheWire(message: GroupMessage["message"]): GroupMessage {
  const wire = encodeGroupMessage({ groupId: 3 as GroupId, message });
  return decodeGroupMessage(RaftMessage.decode(RaftMessage.encode(wire)));
}

describe("message codec", () => {
  it.each(MESSAGES.map((message) => [message.kind, message] as const))(
    "message codec: %s arrives as it was sent",
    (_, message) => {
      expect(overTheWire(message)).toEqual({ groupId: 3, message });
    },
  );

  it("message codec: damaged frames are a typed error, never a crash", () => {
    const damaged = Buffer.from(data.bytes);
    damaged[30] = (damaged[30] ?? 0) ^ 1;
    const wire = RaftMessage.create({ kind: "append-request", frames: [damaged] });
    let caught: unknown;
    try {
      decodeGroupMessage(wire);
    } catch (error) {
      caught = error;
    }
    expect(isBrokerError(caught, "INVALID_REQUEST")).toBe(true);
  });
});
