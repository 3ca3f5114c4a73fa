import { describe, expect, test } from "vitest";
import { MemoryPool } from "../../src/model/memory-pool.ts";
import { BatchBuilder, NO_PRODUCER } from "../../src/model/record-batch-builder.ts";
import { decodeBatch } from "../../src/model/record-batch-decoder.ts";

const KIB = 1024;

describe("memory pool", () => {
  test("what was given back is taken again, by any size of its class", () => {
    const pool = new MemoryPool(64 * KIB);
    const first = pool.take(3000);
    expect(first.length).toBe(4 * KIB);
    pool.give(first);
    expect(pool.freeBytes).toBe(4 * KIB);
    expect(pool.take(4096)).toBe(first);
    expect(pool.freeBytes).toBe(0);
    expect(pool.take(2049)).not.toBe(first);
  });

  test("sizes are powers of two from 1 KiB to 1 MiB, and never smaller than asked for", () => {
    const pool = new MemoryPool(0);
    for (const bytes of [1, 1024, 1025, 65_536, 65_537, 1_048_575, 1_048_576]) {
      const { length } = pool.take(bytes);
      expect(length).toBeGreaterThanOrEqual(bytes);
      expect(Math.log2(length) % 1).toBe(0);
    }
    expect(pool.take(1_048_577).length).toBe(1_048_577);
  });

  test("it keeps no more than it may, and nothing that is not its own size", () => {
    const pool = new MemoryPool(10 * KIB);
    const buffers = [pool.take(4096), pool.take(4096), pool.take(4096)];
    for (const buffer of buffers) pool.give(buffer);
    expect(pool.freeBytes).toBe(8 * KIB);
    pool.give(Buffer.allocUnsafeSlow(1500));
    pool.give(Buffer.allocUnsafeSlow(2 * 1024 * KIB));
    expect(pool.freeBytes).toBe(8 * KIB);
  });

  test("batches built in used memory hold only their own records", () => {
    const pool = new MemoryPool(1024 * KIB);
    const builder = new BatchBuilder(KIB, pool);
    for (let round = 0; round < 50; round += 1) {
      const count = 1 + ((round * 37) % 90);
      for (let i = 0; i < count; i += 1) {
        builder.append(Buffer.from(`k${i}`), `value ${round}/${i}`, undefined, 1000 + i);
      }
      const { batch, memory } = builder.finishIn(NO_PRODUCER, KIB);
      const values = decodeBatch(Buffer.from(batch)).map((record) => record.value?.toString());
      expect(values).toEqual(Array.from({ length: count }, (_, i) => `value ${round}/${i}`));
      memory.fill(0xff);
      pool.give(memory);
    }
    expect(pool.freeBytes).toBeGreaterThan(0);
  });
});
