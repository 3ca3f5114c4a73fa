// Between raft messages of the replica room and the envelopes of the peer protocol (proto/flotilla/internal/v1).
// Pure; used by the peer transport on gRPC and in the simulator alike.

import { decodeFrames, type Frame } from "../../model/entry-frame.ts";
import { BrokerError } from "../../model/errors.ts";
import type { GroupId, ReplicaId } from "../../model/ids.ts";
import type { Entry } from "../../raft/messages.ts";
import { entryOfFrame } from "../../replica/frames.ts";
import type { GroupMessage, Message } from "../../replica/ports.ts";
import { RaftMessage } from "../../rpc/generated/flotilla-internal-v1.ts";

const PRE = 1;
const TRANSFER = 2;
const OK = 4;
const RECOVERING = 8;
const FLUSH = 16;

/** Snapshots travel as chunks on their own lane and are no raft message on the wire. */
export function encodeGroupMessage(item: GroupMessage): RaftMessage {
  const { message } = item;
  const base = {
    groupId: item.groupId as number,
    from: message.from as number,
    to: message.to as number,
    term: message.term,
  };
  switch (message.kind) {
    case "vote-request":
      return RaftMessage.create({
        ...base,
        kind: "vote-request",
        index: message.lastIndex,
        logTerm: message.lastTerm,
        flags: flag(message.pre, PRE) | flag(message.transfer, TRANSFER),
      });
    case "vote-response":
      return RaftMessage.create({
        ...base,
        kind: "vote-response",
        flags:
          flag(message.pre, PRE) | flag(message.granted, OK) | flag(message.recovering, RECOVERING),
      });
    case "append-request":
      return encodeAppendRequest(base, message);
    case "append-response":
      return encodeAppendResponse(base, message);
    case "heartbeat":
      return RaftMessage.create({
        ...base,
        kind: "heartbeat",
        commitIndex: message.commitIndex,
        durableIndex: message.durableCommitIndex,
        readRound: message.readRound,
      });
    case "heartbeat-response":
      return RaftMessage.create({
        ...base,
        kind: "heartbeat-response",
        index: message.matchIndex,
        durableIndex: message.durableIndex,
        readRound: message.readRound,
        incarnation: message.incarnation,
      });
    case "timeout-now":
    case "not-member":
      return RaftMessage.create({ ...base, kind: message.kind });
    case "install-snapshot":
      throw new BrokerError("INTERNAL", "a snapshot is not a raft message on the wire");
  }
}

type Base = Pick<RaftMessage, "groupId" | "from" | "to" | "term">;
type OfKind<K> = Extract<Message<Frame>, { readonly kind: K }>;

function encodeAppendRequest(base: Base, message: OfKind<"append-request">): RaftMessage {
  return RaftMessage.create({
    ...base,
    kind: "append-request",
    index: message.prevIndex,
    logTerm: message.prevTerm,
    commitIndex: message.commitIndex,
    durableIndex: message.durableCommitIndex,
    flags: flag(message.flush, FLUSH),
    frames: message.entries.map((entry) => entry.handle.bytes),
  });
}

function encodeAppendResponse(base: Base, message: OfKind<"append-response">): RaftMessage {
  return RaftMessage.create({
    ...base,
    kind: "append-response",
    index: message.matchIndex,
    durableIndex: message.durableIndex,
    rejectedIndex: message.rejectedPrevIndex,
    hintIndex: message.hintIndex,
    logTerm: message.hintTerm,
    incarnation: message.incarnation,
    flags: flag(message.ok, OK) | flag(message.recovering, RECOVERING),
  });
}

/** @throws BrokerError INVALID_REQUEST when malformed; the caller ends the lane */
export function decodeGroupMessage(wire: RaftMessage): GroupMessage {
  return { groupId: wire.groupId as GroupId, message: decodeMessage(wire) };
}

/** Frames of a damaged or newer peer must end the lane, not this process. */
function decodeEntries(frames: readonly Buffer[]): Entry<Frame>[] {
  try {
    return frames.flatMap((bytes) => decodeFrames(bytes).map(entryOfFrame));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new BrokerError("INVALID_REQUEST", message, { field: "frames" }, { cause: error });
  }
}

function decodeMessage(wire: RaftMessage): Message<Frame> {
  const base = { from: wire.from as ReplicaId, to: wire.to as ReplicaId, term: wire.term };
  const has = (bit: number): boolean => (wire.flags & bit) !== 0;
  switch (wire.kind) {
    case "vote-request":
      return {
        ...base,
        kind: "vote-request",
        pre: has(PRE),
        transfer: has(TRANSFER),
        lastIndex: wire.index,
        lastTerm: wire.logTerm,
      };
    case "vote-response":
      return {
        ...base,
        kind: "vote-response",
        pre: has(PRE),
        granted: has(OK),
        recovering: has(RECOVERING),
      };
    case "append-request":
      return {
        ...base,
        kind: "append-request",
        prevIndex: wire.index,
        prevTerm: wire.logTerm,
        entries: decodeEntries(wire.frames),
        commitIndex: wire.commitIndex,
        durableCommitIndex: wire.durableIndex,
        flush: has(FLUSH),
      };
    case "append-response":
      return {
        ...base,
        kind: "append-response",
        ok: has(OK),
        matchIndex: wire.index,
        durableIndex: wire.durableIndex,
        rejectedPrevIndex: wire.rejectedIndex,
        hintIndex: wire.hintIndex,
        hintTerm: wire.logTerm,
        incarnation: wire.incarnation,
        recovering: has(RECOVERING),
      };
    case "heartbeat":
      return {
        ...base,
        kind: "heartbeat",
        commitIndex: wire.commitIndex,
        durableCommitIndex: wire.durableIndex,
        readRound: wire.readRound,
      };
    case "heartbeat-response":
      return {
        ...base,
        kind: "heartbeat-response",
        matchIndex: wire.index,
        durableIndex: wire.durableIndex,
        readRound: wire.readRound,
        incarnation: wire.incarnation,
      };
    case "timeout-now":
    case "not-member":
      return { ...base, kind: wire.kind };
    case undefined:
      throw new BrokerError("INVALID_REQUEST", "a raft message without kind", { field: "kind" });
  }
}

function flag(condition: boolean, bit: number): number {
  return condition ? bit : 0;
}
