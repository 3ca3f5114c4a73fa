// Writes a history to a file, and reads one back, a chunk at a time: histories of long runs do not fit into one text. Used
// by the chaos tests, the simulator and test/check-history.
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { encodeHistory, type HistoryEvent } from "../../src/testkit/index.ts";

const CHUNK_CHARACTERS = 1 << 20;
const CHUNK_BYTES = 1 << 20;

export function saveHistory(file: string, events: Iterable<HistoryEvent>): void {
  const descriptor = openSync(file, "w");
  try {
    let chunk = "";
    for (const line of encodeHistory(events)) {
      chunk += line;
      if (chunk.length < CHUNK_CHARACTERS) continue;
      writeSync(descriptor, chunk);
      chunk = "";
    }
    writeSync(descriptor, chunk);
  } finally {
    closeSync(descriptor);
  }
}

/** Lines of a file, without their ends. */
export function* linesOf(file: string): Generator<string> {
  const descriptor = openSync(file, "r");
  try {
    const bytes = Buffer.allocUnsafe(CHUNK_BYTES);
    const decoder = new StringDecoder("utf8");
    let rest = "";
    for (;;) {
      const count = readSync(descriptor, bytes, 0, CHUNK_BYTES, null);
      if (count === 0) break;
      const lines = (rest + decoder.write(bytes.subarray(0, count))).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
    if (rest !== "") yield rest;
  } finally {
    closeSync(descriptor);
  }
}
