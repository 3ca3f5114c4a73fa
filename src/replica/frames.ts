// Between the core's entries and the log's frames: control frames that the core asks for, and entries made from frames
// that were read from disk or arrived from a peer. Called by the ready loop, recovery, proposals and peer transports.
import { assert } from "../base/assert.ts";
import {
  encodeFrame,
  type Frame,
  type FrameFields,
  frameSections,
  SECTION,
} from "../model/entry-frame.ts";
import type { ReplicaId } from "../model/ids.ts";
import type { Offset } from "../model/positions.ts";
import type { Entry, EntryKind, Membership, MembershipChange } from "../raft/messages.ts";

/** Version of the membership command inside its section. */
const MEMBERSHIP_COMMAND_VERSION = 1;

/** First offset after this frame's records. */
export function endOffset(frame: Frame): Offset {
  return frame.baseOffset + frame.recordCount;
}

/** A frame without records that the core itself appends. `fields.baseOffset` must be the next offset. */
export function encodeControlFrame(
  kind: Exclude<EntryKind, "data">,
  change: MembershipChange | undefined,
  fields: Pick<FrameFields, "index" | "term" | "baseOffset" | "appendTimeMs">,
): Frame {
  assert((kind === "membership") === (change !== undefined), "a membership frame has a change");
  const sections =
    change === undefined
      ? []
      : [{ type: SECTION.COMMAND, ignorable: false, bytes: membershipCommand(change.membership) }];
  return encodeFrame({ ...fields, kind, recordCount: 0, layoutEpoch: 0 }, sections);
}

/** The core's view of a frame. The handle is the frame itself, nothing is copied. */
export function entryOfFrame(frame: Frame): Entry<Frame> {
  const { index, term, kind } = frame;
  const entry = { index, term, kind, bytes: frame.bytes.length, handle: frame };
  return kind === "membership"
    ? { ...entry, change: { membership: membershipOfFrame(frame) } }
    : entry;
}

/** The configuration that a membership frame carries. */
export function membershipOfFrame(frame: Frame): Membership {
  const section = frameSections(frame).find((candidate) => candidate.type === SECTION.COMMAND);
  assert(section !== undefined, "a membership frame without command", { index: frame.index });
  const command: unknown = JSON.parse(Buffer.from(section.bytes).toString("utf8"));
  return membershipOfJson((command as { readonly membership?: unknown }).membership);
}

/** Checks what was read from a frame, a keyed value or an image. @throws TypeError when it is no membership */
export function membershipOfJson(value: unknown): Membership {
  const { voters, learners, outgoing } = (value ?? {}) as Record<string, unknown>;
  const membership = { voters: replicaIds(voters), learners: replicaIds(learners) };
  return outgoing === undefined ? membership : { ...membership, outgoing: replicaIds(outgoing) };
}

function membershipCommand(membership: Membership): Uint8Array {
  const command = { v: MEMBERSHIP_COMMAND_VERSION, type: "membership", membership };
  return Buffer.from(JSON.stringify(command), "utf8");
}

function replicaIds(value: unknown): ReplicaId[] {
  if (!Array.isArray(value) || !value.every((id) => Number.isSafeInteger(id))) {
    throw new TypeError("a membership lists replica ids");
  }
  return value as ReplicaId[];
}
