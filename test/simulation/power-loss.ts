// What a power cut took from a machine: of the disk by comparing what was there before and after, of the keyed store by what
// it drew. A power cut that took nothing proves no more than a killed process. Used by sim-disk.ts; asked by power-faults.ts.
import type { Random } from "../../src/base/random.ts";
import type { MemoryDisk } from "../../src/log/memory-disk.ts";
import type { MemoryStore } from "../../src/log/memory-store.ts";
import { StorageError } from "../../src/log/ports.ts";
import { endOfIntact } from "./invariants/log-view.ts";

export interface PowerLoss {
  /** Files that are not what the process had made of them; but for caches and what was not finished. */
  readonly files: number;
  /** Segments among them that end in the middle of an entry, or have a hole. */
  readonly torn: number;
  /** Batches of the keyed store that are gone. */
  readonly batches: number;
}

export const NO_LOSS: PowerLoss = { files: 0, torn: 0, batches: 0 };

const BESIDE = /\.(idx|tmp)$|^trash\//;
const SEGMENT = /^groups\/.*\.seg$/;

export function isLoss({ batches, files }: PowerLoss): boolean {
  return files > 0 || batches > 0;
}

export function crashDisk(
  memory: MemoryDisk,
  random: Random,
): { readonly memory: MemoryDisk } & Pick<PowerLoss, "files" | "torn"> {
  const before = filesOf(memory);
  const survivor = memory.crash(random);
  const after = filesOf(survivor);
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter((path) => {
    if (BESIDE.test(path)) return false;
    const [was, is] = [before.get(path), after.get(path)];
    return was === undefined || is === undefined || !was.equals(is);
  });
  const torn = changed.filter((path) => {
    const bytes = SEGMENT.test(path) ? after.get(path) : undefined;
    return bytes !== undefined && endOfIntact(bytes) < bytes.length;
  });
  return { memory: survivor, files: changed.length, torn: torn.length };
}

export function crashStore(
  store: MemoryStore,
  random: Random,
  holes: boolean,
): { readonly store: MemoryStore } & Pick<PowerLoss, "batches"> {
  const witness = new Witness(random);
  const survivor = store.crash(witness, { holes });
  return { store: survivor, batches: holes ? witness.denied : witness.cut };
}

/** Passes on what is drawn. The store draws how many unsynced batches it keeps; with holes, of each whether it is kept. */
class Witness implements Random {
  /** What is left of the newest range that was drawn from. */
  cut = 0;
  /** Questions of one half that were answered with no. */
  denied = 0;
  readonly #inner: Random;

  constructor(inner: Random) {
    this.#inner = inner;
  }

  next(): number {
    const value = this.#inner.next();
    if (value >= 0.5) this.denied += 1;
    return value;
  }

  integer(from: number, to: number): number {
    const value = this.#inner.integer(from, to);
    this.cut = to - 1 - value;
    return value;
  }

  uuid(): string {
    return this.#inner.uuid();
  }
}

function filesOf(disk: MemoryDisk): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const visit = (directory: string): void => {
    for (const name of disk.list(directory)) {
      const path = directory === "" ? name : `${directory}/${name}`;
      const bytes = contentOf(disk, path);
      if (bytes === undefined) visit(path);
      else files.set(path, bytes);
    }
  };
  visit("");
  return files;
}

/** Undefined for a directory. */
function contentOf(disk: MemoryDisk, path: string): Buffer | undefined {
  try {
    const file = disk.open(path, { create: false });
    return file.readSync(0, file.size);
  } catch (error) {
    if (error instanceof StorageError) return undefined;
    throw error;
  }
}
