// A small state machine for replica tests: remembers the last value per key, counts what it applied, and moves the log
// start on command. Its state is exactly its pairs, so that images and rebuilds can be compared.

import type { KeyedWrite } from "../../src/log/ports.ts";
import { encodeFrame, type Frame, frameSections, SECTION } from "../../src/model/entry-frame.ts";
import type { LogIndex } from "../../src/model/positions.ts";
import type { ApplyContext, EntryDraft, StateMachine } from "../../src/replica/ports.ts";

type LedgerCommand =
  | { readonly type: "set"; readonly key: string; readonly value: string }
  | { readonly type: "advance"; readonly index: LogIndex };

export class LedgerMachine implements StateMachine {
  readonly #values = new Map<string, string>();
  #logStartIndex = 1;
  /** What this instance applied since it was made (not part of the state). */
  readonly appliedKeys: string[] = [];
  restores = 0;
  readonly standsForLog: boolean;

  constructor(standsForLog = false) {
    this.standsForLog = standsForLog;
  }

  get logStartIndex(): LogIndex {
    return this.#logStartIndex;
  }

  get(key: string): string | undefined {
    return this.#values.get(key);
  }

  get size(): number {
    return this.#values.size;
  }

  /** Everything, sorted: equal states give equal text. */
  text(): string {
    const entries = [...this.#values].sort(([left], [right]) => (left < right ? -1 : 1));
    return JSON.stringify([this.#logStartIndex, entries]);
  }

  apply(
    frame: Frame,
    context: ApplyContext,
  ): { readonly reply: unknown; readonly writes: readonly KeyedWrite[] } {
    const section = frameSections(frame).find(({ type }) => type === SECTION.COMMAND);
    const command = JSON.parse(Buffer.from(section?.bytes ?? []).toString()) as LedgerCommand;
    if (command.type === "advance") {
      this.#logStartIndex = Math.max(this.#logStartIndex, command.index);
      const value = Buffer.from(String(this.#logStartIndex));
      return { reply: "advanced", writes: [{ type: "put", key: "logStart", value }] };
    }
    this.appliedKeys.push(command.key);
    this.#values.set(command.key, command.value);
    const value = Buffer.from(command.value);
    const writes: KeyedWrite[] = [{ type: "put", key: `v/${command.key}`, value }];
    return { reply: `${command.key}@${context.baseOffset}`, writes };
  }

  restore(pairs: Iterable<readonly [string, Uint8Array]>): void {
    this.restores += 1;
    this.#values.clear();
    this.#logStartIndex = 1;
    for (const [key, value] of pairs) {
      const text = Buffer.from(value).toString();
      if (key === "logStart") this.#logStartIndex = Number(text);
      else this.#values.set(key.slice(2), text);
    }
  }

  *pairs(): Iterable<readonly [string, Uint8Array]> {
    if (this.#logStartIndex !== 1) yield ["logStart", Buffer.from(String(this.#logStartIndex))];
    for (const [key, value] of this.#values) yield [`v/${key}`, Buffer.from(value)];
  }
}

/** A draft that sets one key and counts as one record. @param padding extra bytes, to fill segments */
export function setDraft(key: string, value: string, padding = 0): EntryDraft {
  const command = { type: "set", key, value, pad: "x".repeat(padding) };
  return draft(command, 1);
}

/** A draft that moves the log start. */
export function advanceDraft(index: LogIndex): EntryDraft {
  return draft({ type: "advance", index }, 0);
}

/** A frame as a draft would become it, for tests below the replica. */
export function setFrame(index: LogIndex, term: number, baseOffset: number, key: string): Frame {
  const { sections } = setDraft(key, `${key}@${index}`);
  const fields = { index, term, baseOffset, recordCount: 1, layoutEpoch: 0, appendTimeMs: index };
  return encodeFrame({ kind: "data", ...fields }, sections);
}

function draft(command: object, recordCount: number): EntryDraft {
  const bytes = Buffer.from(JSON.stringify({ v: 1, ...command }));
  const sections = [{ type: SECTION.COMMAND, ignorable: false, bytes }];
  return { kind: "data", recordCount, layoutEpoch: 0, sections };
}
