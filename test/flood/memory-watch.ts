// Resident memory of processes, sampled from /proc.
import { readFileSync } from "node:fs";

const PAGE_BYTES = 4096;
const SAMPLE_MS = 100;

export class MemoryWatch {
  readonly peaks = new Map<number, number>();
  samples = 0;
  readonly #timer: NodeJS.Timeout;

  /** @param pids of the processes by node id */
  constructor(pids: ReadonlyMap<number, number>) {
    this.#timer = setInterval(() => {
      this.samples += 1;
      for (const [node, pid] of pids) {
        this.peaks.set(node, Math.max(this.peaks.get(node) ?? 0, rssBytes(pid)));
      }
    }, SAMPLE_MS);
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** 0 for a process that is gone. */
export function rssBytes(pid: number): number {
  try {
    const pages = readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1];
    return Number(pages) * PAGE_BYTES;
  } catch {
    return 0;
  }
}
