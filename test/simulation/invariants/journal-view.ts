// The hard states that a node's journal holds, seen from its disk: what was written, and what a power cut would leave.
// Reads the records by the layout that src/log/hard-state-journal.ts describes. Kept by disk-view.ts.
import { readU64 } from "../../../src/log/binary.ts";
import type { GroupId, ReplicaId } from "../../../src/model/ids.ts";
import type { Term } from "../../../src/model/positions.ts";

export interface HardStateView {
  readonly groupId: GroupId;
  readonly replicaId: ReplicaId;
  readonly term: Term;
  readonly vote: ReplicaId | 0;
}

const HEADER_BYTES = 16;
const RECORD_HEADER_BYTES = 8;
const HARD_STATE = 2;

interface Placed {
  readonly state: HardStateView;
  readonly end: number;
}

/** One journal file: the present one, or the one that is about to replace it. */
export class JournalFile {
  size = 0;
  /** Under its final name, durably. */
  isNamed = false;
  readonly #records: Placed[] = [];
  #next = 0;
  #syncedSize = 0;
  readonly #onDurable: (state: HardStateView) => void;

  constructor(onDurable: (state: HardStateView) => void) {
    this.#onDurable = onDurable;
  }

  /** @returns the hard states among the records */
  append(bytes: Buffer): HardStateView[] {
    const states: HardStateView[] = [];
    let at = this.size === 0 ? HEADER_BYTES : 0;
    while (at + RECORD_HEADER_BYTES <= bytes.length) {
      const end = at + RECORD_HEADER_BYTES + bytes.readUInt32BE(at);
      const payload = bytes.subarray(at + RECORD_HEADER_BYTES, end);
      if (payload[0] === HARD_STATE) {
        const state = hardStateOf(payload);
        states.push(state);
        this.#records.push({ state, end: this.size + end });
      }
      at = end;
    }
    this.size += bytes.length;
    return states;
  }

  synced(size: number): void {
    this.#syncedSize = Math.max(this.#syncedSize, size);
    this.#tell();
  }

  named(): void {
    this.isNamed = true;
    this.#tell();
  }

  #tell(): void {
    if (!this.isNamed) return;
    for (;;) {
      const record = this.#records[this.#next];
      if (record === undefined || record.end > this.#syncedSize) return;
      this.#next += 1;
      this.#onDurable(record.state);
    }
  }
}

function hardStateOf(payload: Buffer): HardStateView {
  return {
    groupId: readU64(payload, 6) as GroupId,
    replicaId: readU64(payload, 14) as ReplicaId,
    term: readU64(payload, 22),
    vote: readU64(payload, 30) as ReplicaId | 0,
  };
}
