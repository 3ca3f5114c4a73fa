// Writes what apply changed into the keyed store, lazily: the last write per key wins, one batch every CHECKPOINT_MS or
// CHECKPOINT_KEYS, not synced (image + log can always rebuild it). The applied position is in the same batch as its
// effects (raft.md P8), so the store is a consistent picture at every moment, only an older one.
import type { Cancel } from "../base/clock.ts";
import type { KeyedWrite } from "../log/ports.ts";
import type { GroupContext } from "./group-context.ts";
import { type AppliedRecord, appliedKey, encodeApplied, statePrefix } from "./group-records.ts";

const CHECKPOINT_MS = 1000;
/** More pending keys than this are written at once. */
const CHECKPOINT_KEYS = 4096;

export class Checkpoint {
  readonly #context: GroupContext;
  readonly #appliedKey: string;
  readonly #statePrefix: string;
  readonly #position: () => AppliedRecord;
  #pending = new Map<string, KeyedWrite>();
  #isDirty = false;
  #isSuspended = false;
  #inFlight: Promise<void> | undefined;
  #timer: Cancel | undefined;

  /** @param position the applied position right now; read when a batch is made */
  constructor(context: GroupContext, prefix: string, position: () => AppliedRecord) {
    this.#context = context;
    this.#appliedKey = appliedKey(prefix);
    this.#statePrefix = statePrefix(prefix);
    this.#position = position;
  }

  /** Takes one applied entry's writes; also called without any, because the position moved. */
  add(writes: readonly KeyedWrite[]): void {
    for (const write of writes) this.#pending.set(write.key, write);
    this.#isDirty = true;
  }

  /** After a run of add(): sees to it that a batch follows. */
  arm(): void {
    if (!this.#isDirty || this.#isSuspended || this.#inFlight !== undefined) return;
    if (this.#pending.size >= CHECKPOINT_KEYS) {
      this.#spawnWrite();
      return;
    }
    this.#timer ??= this.#context.clock.schedule(CHECKPOINT_MS, () => {
      this.#timer = undefined;
      if (this.#context.isLive()) this.#spawnWrite();
    });
  }

  /** Stops writing and forgets what is pending; resolves when no batch is in flight. Before an image is installed. */
  async suspend(): Promise<void> {
    this.#isSuspended = true;
    this.#disarm();
    this.#pending = new Map();
    this.#isDirty = false;
    await this.#inFlight;
  }

  resume(): void {
    this.#isSuspended = false;
  }

  /** Writes what is pending and resolves when it is in the store. For a graceful close. */
  async finish(): Promise<void> {
    this.#disarm();
    await this.#inFlight;
    if (this.#isDirty && !this.#isSuspended) await this.#write();
  }

  #disarm(): void {
    this.#timer?.();
    this.#timer = undefined;
  }

  #spawnWrite(): void {
    if (!this.#isDirty || this.#isSuspended || this.#inFlight !== undefined) return;
    this.#context.spawn("checkpoint", async () => {
      this.#inFlight = this.#write();
      try {
        await this.#inFlight;
      } finally {
        this.#inFlight = undefined;
      }
      if (this.#context.isLive()) this.arm();
    });
  }

  #write(): Promise<void> {
    this.#disarm();
    const writes: KeyedWrite[] = [];
    for (const write of this.#pending.values()) {
      writes.push({ ...write, key: this.#statePrefix + write.key });
    }
    writes.push({ type: "put", key: this.#appliedKey, value: encodeApplied(this.#position()) });
    this.#pending = new Map();
    this.#isDirty = false;
    return this.#context.keyed.batch(writes, { sync: false });
  }
}
