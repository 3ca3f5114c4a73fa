// What the replica room itself stores about a group: keys of the keyed store, the record that stands beside the state
// (applied position and what belongs to it, always in the same batch: raft.md P8), and the same inside state images.
//
//   g/<group>-<replica>/applied      AppliedRecord, JSON
//   g/<group>-<replica>/s/<key>      one pair of the state machine
import type { GroupId, ReplicaId } from "../model/ids.ts";
import { checkedPosition, type LogIndex, type Offset, type Term } from "../model/positions.ts";
import type { Membership } from "../raft/messages.ts";
import { membershipOfJson } from "./frames.ts";

const RECORD_VERSION = 1;

/** An index and the offset of the first record at or after it. */
export interface LogStart {
  readonly index: LogIndex;
  readonly offset: Offset;
}

/** The applied position of a group with everything that only the log before it could tell. */
export interface AppliedRecord {
  readonly index: LogIndex;
  readonly term: Term;
  readonly membership: Membership;
  /** Offset after the last record ≤ index. */
  readonly nextOffset: Offset;
  /** appendTime of the last frame ≤ index; 0 when there was none. */
  readonly appendTimeMs: number;
  /** What readers may ask for (the state machine's logStartIndex when it was resolved last). */
  readonly logStart: LogStart;
}

/** Metadata of a state image; travels inside the image. */
export interface ImageRecord {
  readonly applied: AppliedRecord;
  /** Where the log of a replica that installs the image begins: index ≤ applied.index + 1. */
  readonly restart: LogStart & { readonly prevTerm: Term };
  /** False: saved beside the log it was made from. True: it came from a leader and replaces the log. */
  readonly isInstalled: boolean;
}

/** "g/<group>-<replica>": prefix of keys, and name of the directory below groups/. */
export function groupName(groupId: GroupId, replicaId: ReplicaId): string {
  return `${groupId}-${replicaId}`;
}

export function groupPrefix(groupId: GroupId, replicaId: ReplicaId): string {
  return `g/${groupName(groupId, replicaId)}/`;
}

export function appliedKey(prefix: string): string {
  return `${prefix}applied`;
}

export function statePrefix(prefix: string): string {
  return `${prefix}s/`;
}

export function encodeApplied(record: AppliedRecord): Buffer {
  return Buffer.from(JSON.stringify({ v: RECORD_VERSION, ...record }), "utf8");
}

/** Undefined when the bytes are no such record: the caller rebuilds the state, as if it were missing. */
export function decodeApplied(bytes: Uint8Array): AppliedRecord | undefined {
  return attempt(() => appliedOfJson(parse(bytes)));
}

export function encodeImageRecord(record: ImageRecord): Buffer {
  return Buffer.from(JSON.stringify({ v: RECORD_VERSION, ...record }), "utf8");
}

/** Undefined when the bytes are no such record. */
export function decodeImageRecord(bytes: Uint8Array): ImageRecord | undefined {
  return attempt(() => {
    const json = parse(bytes);
    const restart = json["restart"];
    return {
      applied: appliedOfJson(json["applied"]),
      restart: { ...logStartOfJson(restart), prevTerm: position(restart, "prevTerm") },
      isInstalled: json["isInstalled"] === true,
    };
  });
}

function appliedOfJson(json: unknown): AppliedRecord {
  const fields = json as Record<string, unknown>;
  return {
    index: position(json, "index"),
    term: position(json, "term"),
    membership: membershipOfJson(fields["membership"]),
    nextOffset: position(json, "nextOffset"),
    appendTimeMs: position(json, "appendTimeMs"),
    logStart: logStartOfJson(fields["logStart"]),
  };
}

function logStartOfJson(json: unknown): LogStart {
  return { index: position(json, "index"), offset: position(json, "offset") };
}

function position(json: unknown, name: string): number {
  return checkedPosition((json as Record<string, number>)[name] ?? -1, name);
}

function parse(bytes: Uint8Array): Record<string, unknown> {
  const json = JSON.parse(Buffer.from(bytes).toString("utf8")) as Record<string, unknown>;
  if (json["v"] !== RECORD_VERSION) throw new RangeError("unknown version of a group record");
  return json;
}

function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}
