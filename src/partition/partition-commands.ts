// Replicated commands of a partition: versioned JSON in the COMMAND section of an entry. Written by the leader, read by
// partition-state.ts on every replica. A command that this version does not know must stop the replica: skipping it
// would let replicas diverge (architecture §7.12). Commands of state parts have the same form and types of their own.
import type { Flush } from "../model/durability.ts";
import { FrameError } from "../model/entry-frame.ts";
import type { ProducerId } from "../model/ids.ts";
import type { LogIndex, Offset } from "../model/positions.ts";

const COMMAND_VERSION = 1;

export type PartitionCommand =
  /**
   * Readers may begin at `index` from now on; `offset` is the offset there. Never goes back. `acked`: because everything below
   * was settled. Whoever decided that did not know of a seek that stands before it in the log: somebody whose cursor is
   * lower makes it void.
   */
  | {
      readonly type: "AdvanceLogStart";
      readonly index: LogIndex;
      readonly offset: Offset;
      readonly acked?: boolean;
    }
  /** Forgets those of `ids` without a batch since `idleBeforeMs` (append time, inclusive). */
  | {
      readonly type: "ExpireProducers";
      readonly ids: readonly ProducerId[];
      readonly idleBeforeMs: number;
    }
  /** What the group's commit rule is from now on. */
  | { readonly type: "SetFlush"; readonly flush: Flush }
  /** Features that entries may use from now on. Never goes back. */
  | { readonly type: "FeatureLevel"; readonly level: number };

/** A command as JSON gives it: its version is known, its type perhaps not. */
export type CommandFields = Readonly<Record<string, unknown>>;

/** What became of a command: "no-op" when its condition did not hold any more at apply. */
export interface CommandReply {
  readonly outcome: "done" | "no-op";
}

/** For commands of parts too. */
export function encodeCommand(command: PartitionCommand | CommandFields): Buffer {
  return Buffer.from(JSON.stringify({ v: COMMAND_VERSION, ...command }), "utf8");
}

/** @throws FrameError "unknown-section" for a version, type or form that this release does not know */
export function decodeCommand(section: Buffer): PartitionCommand {
  return readCommand(parseCommand(section));
}

/** @throws FrameError "unknown-section" for what is no JSON or has a version that this release does not know */
export function parseCommand(section: Buffer): CommandFields {
  const value: unknown = parse(section);
  const fields = (value ?? {}) as CommandFields;
  if (fields["v"] !== COMMAND_VERSION) throw unknown(`version ${String(fields["v"])}`);
  return fields;
}

/** @throws FrameError "unknown-section" for a type or form that this release does not know */
export function readCommand(fields: CommandFields): PartitionCommand {
  switch (fields["type"]) {
    case "AdvanceLogStart":
      return {
        type: "AdvanceLogStart",
        index: number(fields, "index"),
        offset: number(fields, "offset"),
        ...(fields["acked"] === undefined ? {} : { acked: boolean(fields, "acked") }),
      };
    case "ExpireProducers":
      return {
        type: "ExpireProducers",
        ids: numbers(fields, "ids"),
        idleBeforeMs: number(fields, "idleBeforeMs"),
      };
    case "SetFlush": {
      const flush = fields["flush"];
      if (flush !== "sync" && flush !== "async") throw unknown("flush");
      return { type: "SetFlush", flush };
    }
    case "FeatureLevel":
      return { type: "FeatureLevel", level: number(fields, "level") };
    default:
      throw unknown(`type ${String(fields["type"])}`);
  }
}

function parse(section: Buffer): unknown {
  try {
    return JSON.parse(section.toString("utf8"));
  } catch (error) {
    throw unknown(error instanceof Error ? error.message : "no JSON");
  }
}

function number(fields: CommandFields, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value)) throw unknown(name);
  return value;
}

function boolean(fields: CommandFields, name: string): boolean {
  const value = fields[name];
  if (typeof value !== "boolean") throw unknown(name);
  return value;
}

function numbers(fields: CommandFields, name: string): readonly number[] {
  const value = fields[name];
  if (!Array.isArray(value) || !value.every((id) => Number.isSafeInteger(id))) throw unknown(name);
  return value as number[];
}

function unknown(detail: string): FrameError {
  return new FrameError({
    problem: "unknown-section",
    position: 0,
    detail: `unknown partition command: ${detail}`,
  });
}
