// Between raft messages of the replica room and the envelopes of the peer protocol (proto/flotilla/internal/v1).
// Pure; used by the peer transport on gRPC and in the simulator alike.

import { decodeFrames, type Frame } from "../../model/entry-frame.ts";
import { BrokerError } from "../../model/errors.ts";
import type { GroupId, ReplicaId } from "../../model/ids.ts";
import type { Entry } from "../../raft/messages.ts";
import { entryOfFrame } from "../../replica/frames.ts";
import type { GroupMessage, Message } from "../../replica/ports.ts";
import type { RaftMessage } from "../../rpc/generated/flotilla-internal-v1.ts";

const PRE = 1;
const TRANSFER = 2;
const OK = 4;
const RECOVERING = 8;
const FLUSH = 16;
const DAMAGED = 32;
const NO_FRAMES: readonly Buffer[] = [];

/** While it is filled in. All kinds share one shape and are filled field by field: spreads cost more than the encoding. */
type Wire = { -readonly [Field in keyof RaftMessage]: RaftMessage[Field] };

/** Snapshots travel as chunks on their own lane and are no raft message on the wire. */
export function encodeGroupMessage(item: GroupMessage): RaftMessage {
  const { message } = item;
  const wire = blank(item);
  switch (message.kind) {
    case "vote-request":
      wire.kind = "vote-request";
      wire.index = message.lastIndex;
      wire.logTerm = message.lastTerm;
      wire.flags = flag(message.pre, PRE) | flag(message.transfer, TRANSFER);
      return wire;
    case "vote-response":
      wire.kind = "vote-response";
      wire.flags =
        flag(message.pre, PRE) | flag(message.granted, OK) | flag(message.recovering, RECOVERING);
      return wire;
    case "append-request":
      encodeAppendRequest(wire, message);
      return wire;
    case "append-response":
      encodeAppendResponse(wire, message);
      return wire;
    case "heartbeat":
      wire.kind = "heartbeat";
      wire.commitIndex = message.commitIndex;
      wire.durableIndex = message.durableCommitIndex;
      wire.readRound = message.readRound;
      wire.hintIndex = message.fenceIndex;
      wire.incarnation = message.fenceIncarnation;
      return wire;
    case "heartbeat-response":
      wire.kind = "heartbeat-response";
      wire.index = message.matchIndex;
      wire.durableIndex = message.durableIndex;
      wire.readRound = message.readRound;
      wire.incarnation = message.incarnation;
      wire.flags = flag(message.recovering, RECOVERING) | flag(message.damaged, DAMAGED);
      return wire;
    case "timeout-now":
    case "not-member":
      wire.kind = message.kind;
      return wire;
    case "install-snapshot":
      throw new BrokerError("INTERNAL", "a snapshot is not a raft message on the wire");
  }
}

function blank({ groupId, message: { from, to, term } }: GroupMessage): Wire {
  return {
    kind: undefined,
    groupId,
    from,
    to,
    term,
    index: 0,
    logTerm: 0,
    commitIndex: 0,
    durableIndex: 0,
    flags: 0,
    rejectedIndex: 0,
    hintIndex: 0,
    readRound: 0,
    incarnation: 0,
    frames: NO_FRAMES,
  };
}

type OfKind<K> = Extract<Message<Frame>, { readonly kind: K }>;

function encodeAppendRequest(wire: Wire, message: OfKind<"append-request">): void {
  wire.kind = "append-request";
  wire.index = message.prevIndex;
  wire.logTerm = message.prevTerm;
  wire.commitIndex = message.commitIndex;
  wire.durableIndex = message.durableCommitIndex;
  wire.flags = flag(message.flush, FLUSH);
  wire.frames = message.entries.map((entry) => entry.handle.bytes);
}

function encodeAppendResponse(wire: Wire, message: OfKind<"append-response">): void {
  wire.kind = "append-response";
  wire.index = message.matchIndex;
  wire.durableIndex = message.durableIndex;
  wire.rejectedIndex = message.rejectedPrevIndex;
  wire.hintIndex = message.hintIndex;
  wire.logTerm = message.hintTerm;
  wire.incarnation = message.incarnation;
  wire.flags =
    flag(message.ok, OK) | flag(message.recovering, RECOVERING) | flag(message.damaged, DAMAGED);
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

/** Each kind is one literal, for the same reason as above. */
function decodeMessage(wire: RaftMessage): Message<Frame> {
  switch (wire.kind) {
    case "vote-request":
      return decodeVoteRequest(wire);
    case "vote-response":
      return decodeVoteResponse(wire);
    case "append-request":
      return decodeAppendRequest(wire);
    case "append-response":
      return decodeAppendResponse(wire);
    case "heartbeat":
      return decodeHeartbeat(wire);
    case "heartbeat-response":
      return decodeHeartbeatResponse(wire);
    case "timeout-now":
    case "not-member":
      return {
        kind: wire.kind,
        from: wire.from as ReplicaId,
        to: wire.to as ReplicaId,
        term: wire.term,
      };
    case undefined:
      throw new BrokerError("INVALID_REQUEST", "a raft message without kind", { field: "kind" });
  }
}

function decodeVoteRequest(wire: RaftMessage): OfKind<"vote-request"> {
  return {
    kind: "vote-request",
    from: wire.from as ReplicaId,
    to: wire.to as ReplicaId,
    term: wire.term,
    pre: has(wire.flags, PRE),
    transfer: has(wire.flags, TRANSFER),
    lastIndex: wire.index,
    lastTerm: wire.logTerm,
  };
}

function decodeVoteResponse(wire: RaftMessage): OfKind<"vote-response"> {
  return {
    kind: "vote-response",
    from: wire.from as ReplicaId,
    to: wire.to as ReplicaId,
    term: wire.term,
    pre: has(wire.flags, PRE),
    granted: has(wire.flags, OK),
    recovering: has(wire.flags, RECOVERING),
  };
}

function decodeAppendRequest(wire: RaftMessage): OfKind<"append-request"> {
  return {
    kind: "append-request",
    from: wire.from as ReplicaId,
    to: wire.to as ReplicaId,
    term: wire.term,
    prevIndex: wire.index,
    prevTerm: wire.logTerm,
    entries: decodeEntries(wire.frames),
    commitIndex: wire.commitIndex,
    durableCommitIndex: wire.durableIndex,
    flush: has(wire.flags, FLUSH),
  };
}

function decodeAppendResponse(wire: RaftMessage): OfKind<"append-response"> {
  return {
    kind: "append-response",
    from: wire.from as ReplicaId,
    to: wire.to as ReplicaId,
    term: wire.term,
    ok: has(wire.flags, OK),
    matchIndex: wire.index,
    durableIndex: wire.durableIndex,
    rejectedPrevIndex: wire.rejectedIndex,
    hintIndex: wire.hintIndex,
    hintTerm: wire.logTerm,
    incarnation: wire.incarnation,
    recovering: has(wire.flags, RECOVERING),
    damaged: has(wire.flags, DAMAGED),
  };
}

function decodeHeartbeat(wire: RaftMessage): OfKind<"heartbeat"> {
  return {
    kind: "heartbeat",
    from: wire.from as ReplicaId,
    to: wire.to as ReplicaId,
    term: wire.term,
    commitIndex: wire.commitIndex,
    durableCommitIndex: wire.durableIndex,
    readRound: wire.readRound,
    fenceIncarnation: wire.incarnation,
    fenceIndex: wire.hintIndex,
  };
}

function decodeHeartbeatResponse(wire: RaftMessage): OfKind<"heartbeat-response"> {
  return {
    kind: "heartbeat-response",
    from: wire.from as ReplicaId,
    to: wire.to as ReplicaId,
    term: wire.term,
    matchIndex: wire.index,
    durableIndex: wire.durableIndex,
    readRound: wire.readRound,
    incarnation: wire.incarnation,
    recovering: has(wire.flags, RECOVERING),
    damaged: has(wire.flags, DAMAGED),
  };
}

function has(flags: number, bit: number): boolean {
  return (flags & bit) !== 0;
}

function flag(condition: boolean, bit: number): number {
  return condition ? bit : 0;
}
