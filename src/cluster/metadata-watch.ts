// Notices that this node is left out of the metadata group: others know newer metadata for seconds while nothing of it
// arrives here. That is how a node that was decommissioned while it was down or cut off finds itself: nobody sends it the
// entry that removed it any more. It asks by registering again, and is told. Started and stopped by the broker.
import type { Cancel, Clock } from "../base/clock.ts";
import type { LogIndex } from "../model/positions.ts";

const CHECK_MS = 2000;
/** Checks in a row that find this node behind and standing still. */
const STUCK_CHECKS_MAX = 5;

export interface MetadataWatchOptions {
  readonly clock: Clock;
  /** Of the metadata here. */
  readonly version: () => LogIndex;
  /** Called again after as many further checks, as long as nothing changes. */
  readonly onStuck: () => void;
}

export class MetadataWatch {
  readonly #options: MetadataWatchOptions;
  #newest: LogIndex = 0;
  #lastVersion: LogIndex = 0;
  #stuckChecks = 0;
  #cancel: Cancel | undefined;

  constructor(options: MetadataWatchOptions) {
    this.#options = options;
  }

  start(): void {
    const { clock } = this.#options;
    this.#cancel = clock.schedule(CHECK_MS, () => {
      this.start();
      this.#check();
    });
  }

  close(): void {
    this.#cancel?.();
  }

  /** Another node has applied the metadata up to here. */
  heard(index: LogIndex): void {
    this.#newest = Math.max(this.#newest, index);
  }

  #check(): void {
    const version = this.#options.version();
    const isStuck = version < this.#newest && version === this.#lastVersion;
    this.#lastVersion = version;
    this.#stuckChecks = isStuck ? this.#stuckChecks + 1 : 0;
    if (this.#stuckChecks < STUCK_CHECKS_MAX) return;
    this.#stuckChecks = 0;
    this.#options.onStuck();
  }
}
