// Memory that is used again instead of being left to the collector. V8 counts buffers as external memory and begins a
// full collection for every 64 MiB that outlive two scavenges; what waits for an acknowledgement always does, so a producer
// under load would collect several times a second (docs/adr/0009).
// Used by the SDK for batches. Not shared between owners, and never a place where one's bytes may be seen by another:
// what is taken is written over before it is read.

/** Where a batch builder gets its memory. */
export interface BatchMemory {
  /** At least `bytes`, with any content. */
  take(bytes: number): Buffer;
  /** Gives back what take() returned; the caller must not touch it any more, nor any view of it. */
  give(buffer: Buffer): void;
}

/** Every buffer is new, and left to the collector. */
export const freshMemory: BatchMemory = {
  take: (bytes) => Buffer.allocUnsafeSlow(bytes),
  give: () => undefined,
};

/** Smallest and largest size kept, bytes; between them sizes are powers of two. Larger buffers are not kept. */
const SIZE_MIN = 1024;
const SIZE_MAX = 1024 * 1024;

export class MemoryPool implements BatchMemory {
  readonly #bytesMax: number;
  /** Free buffers of SIZE_MIN × 2^i. */
  readonly #free: Buffer[][] = [];
  #freeBytes = 0;

  /** @param bytesMax free memory that is kept at most; what is given back beyond it is left to the collector */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  take(bytes: number): Buffer {
    if (bytes > SIZE_MAX) return Buffer.allocUnsafeSlow(bytes);
    const size = sizeClass(bytes);
    const buffer = this.#free[size]?.pop();
    if (buffer === undefined) return Buffer.allocUnsafeSlow(SIZE_MIN << size);
    this.#freeBytes -= buffer.length;
    return buffer;
  }

  give(buffer: Buffer): void {
    const { length } = buffer;
    if (length > SIZE_MAX || this.#freeBytes + length > this.#bytesMax) return;
    const size = sizeClass(length);
    if (SIZE_MIN << size !== length) return;
    this.#free[size] ??= [];
    this.#free[size].push(buffer);
    this.#freeBytes += length;
  }
}

/** i of the smallest SIZE_MIN × 2^i that holds so many bytes. */
function sizeClass(bytes: number): number {
  return bytes <= SIZE_MIN ? 0 : 32 - Math.clz32((bytes - 1) >>> 10);
}
