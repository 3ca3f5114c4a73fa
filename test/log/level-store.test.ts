import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { ClassicLevel } from "classic-level";
import { describe, expect, it } from "vitest";
import type { Clock } from "../../src/base/clock.ts";
import { openLevelStore } from "../../src/log/level-store.ts";
import { StorageError } from "../../src/log/ports.ts";
import { keyedStoreConformance } from "../conformance/keyed-store.ts";
import { temporaryDirectory } from "./temporary.ts";

keyedStoreConformance("level store", async () => {
  const { path, remove } = temporaryDirectory();
  return { store: await openLevelStore(join(path, "state")), cleanUp: remove };
});

async function kindOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
  } catch (error) {
    return error instanceof StorageError ? error.kind : `not a StorageError: ${String(error)}`;
  }
  return "nothing thrown";
}

const one = { type: "put", key: "k", value: Buffer.from("value") } as const;

describe("level store", () => {
  it("open: content survives a reopen", async () => {
    const { path, remove } = temporaryDirectory();
    const first = await openLevelStore(path);
    await first.batch([one], { sync: false });
    await first.close();
    const second = await openLevelStore(path);
    expect((await second.get("k"))?.toString()).toBe("value");
    await second.close();
    remove();
  });

  it("open: a store in use is locked, and discard does it no harm", async () => {
    const { path, remove } = temporaryDirectory();
    const store = await openLevelStore(path);
    await store.batch([one], { sync: false });
    expect(await kindOf(() => openLevelStore(path))).toBe("locked");
    expect(await kindOf(() => openLevelStore(path, { discard: true }))).toBe("locked");
    expect((await store.get("k"))?.toString()).toBe("value");
    await store.close();
    remove();
  });

  it("close: fails when a write failed before, because not everything written is durable", async () => {
    const { path, remove } = temporaryDirectory();
    const store = await openLevelStore(path);
    remove();
    expect(await kindOf(() => store.batch([one], { sync: true }))).toBe("io");
    expect(await kindOf(() => store.close())).toBe("io");
  });

  it("open: discard empties the store", async () => {
    const { path, remove } = temporaryDirectory();
    const first = await openLevelStore(path);
    await first.batch([one], { sync: true });
    await first.close();
    const second = await openLevelStore(path, { discard: true });
    expect(await second.get("k")).toBeUndefined();
    await second.close();
    remove();
  });

  it("get and range: a damaged value is found, also one under another key", async () => {
    const { path, remove } = temporaryDirectory();
    const first = await openLevelStore(path);
    await first.batch([one], { sync: true });
    await first.close();
    const options = { keyEncoding: "utf8", valueEncoding: "buffer" } as const;
    const raw = new ClassicLevel<string, Buffer>(path, options);
    const stored = await raw.get("k");
    await raw.put("other", stored ?? Buffer.alloc(0));
    await raw.put("short", Buffer.from("x"));
    await raw.close();
    const second = await openLevelStore(path);
    expect((await second.get("k"))?.toString()).toBe("value");
    expect(await kindOf(() => second.get("other"))).toBe("corrupt");
    expect(await kindOf(() => second.get("short"))).toBe("corrupt");
    const walk = async (): Promise<void> => {
      for await (const pair of second.range("")) expect(pair[0]).toBe("k");
    };
    expect(await kindOf(walk)).toBe("corrupt");
    await second.close();
    remove();
  });

  it("open: a store that LevelDB cannot read is corrupt, and discard makes it usable", async () => {
    const { path, remove } = temporaryDirectory();
    const first = await openLevelStore(path);
    await first.batch([one], { sync: true });
    await first.close();
    const manifest = readdirSync(path).find((name) => name.startsWith("MANIFEST")) ?? "";
    const bytes = readFileSync(join(path, manifest));
    writeFileSync(join(path, manifest), bytes.fill(0xff, 8));
    expect(await kindOf(() => openLevelStore(path))).toBe("corrupt");
    const second = await openLevelStore(path, { discard: true });
    expect(await second.get("k")).toBeUndefined();
    await second.close();
    remove();
  });

  it("a damaged table: what is read is corrupt, and a failed change is the store's own failure, for good", async () => {
    const { path, remove } = temporaryDirectory();
    await filledTable(path);
    const table = readdirSync(path).find((name) => name.endsWith(".ldb")) ?? "";
    const bytes = readFileSync(join(path, table));
    writeFileSync(join(path, table), bytes.fill(0xff, 0, 2000));
    const store = await openLevelStore(path);
    expect(await kindOf(() => store.get("k0"))).toBe("corrupt");
    expect(await kindOf(() => store.removeRange("k"))).toBe("io");
    expect(await kindOf(() => store.get("k0"))).toBe("io");
    expect(await kindOf(() => store.batch([one], { sync: false }))).toBe("io");
    expect(await kindOf(() => store.close())).toBe("io");
    remove();
  });

  it("a flipped bit in LevelDB's own log, or a log that is cut off: corrupt, and discard makes it usable", async () => {
    const { path, remove } = temporaryDirectory();
    const store = await openLevelStore(path);
    for (const key of ["a", "b", "c"]) await store.batch([{ ...one, key }], { sync: true });
    await store.close();
    const log = join(path, readdirSync(path).find((name) => name.endsWith(".log")) ?? "");
    const bytes = readFileSync(log);
    const flipped = Buffer.from(bytes);
    flipped.writeUInt8(flipped.readUInt8(10) ^ 1, 10);
    for (const damaged of [flipped, bytes.subarray(0, bytes.length - 1)]) {
      writeFileSync(log, damaged);
      expect(await kindOf(() => openLevelStore(path))).toBe("corrupt");
    }
    const empty = await openLevelStore(path, { discard: true });
    expect(await empty.get("a")).toBeUndefined();
    await empty.close();
    remove();
  });

  it("a log that looks cut off because somebody is writing it: locked", async () => {
    const { path, remove } = temporaryDirectory();
    const store = await openLevelStore(path);
    await store.batch([one], { sync: true });
    const log = join(path, readdirSync(path).find((name) => name.endsWith(".log")) ?? "");
    const bytes = readFileSync(log);
    writeFileSync(log, bytes.subarray(0, bytes.length - 1));
    expect(await kindOf(() => openLevelStore(path))).toBe("locked");
    writeFileSync(log, bytes);
    await store.close();
    remove();
  });

  it("removeRange: a key that is damaged goes, too", async () => {
    const { path, remove } = temporaryDirectory();
    const raw = new ClassicLevel<Buffer, Buffer>(path, { keyEncoding: "buffer" });
    await raw.put(Buffer.from([0x6b, 0x80]), Buffer.from("x"));
    await raw.close();
    const store = await openLevelStore(path);
    await store.removeRange("k");
    for await (const [key] of store.range("k")) expect(key).toBe("nothing is left");
    await store.close();
    remove();
  });

  it.skipIf(process.platform !== "linux")(
    "open: a file of the store that can not be read is corrupt, and discard makes it usable",
    async () => {
      const { path, remove } = temporaryDirectory();
      await filledTable(path);
      rmSync(join(path, "CURRENT"));
      // Reading its beginning is an input error.
      symlinkSync("/proc/self/mem", join(path, "CURRENT"));
      expect(await kindOf(() => openLevelStore(path))).toBe("corrupt");
      const store = await openLevelStore(path, { discard: true });
      expect(await store.get("k0")).toBeUndefined();
      await store.close();
      remove();
    },
  );

  it("batch: a large one lets others have their turn, and is there as a whole or not at all", async () => {
    const { path, remove } = temporaryDirectory();
    const clock = new SlowClock();
    const store = await openLevelStore(path, { clock });
    const keys = Array.from({ length: 1000 }, (_, at) => `k${`${at}`.padStart(4, "0")}`);
    const writing = store.batch(
      keys.map((key) => ({ type: "put", key, value: Buffer.from(key) }) as const),
      { sync: false },
    );
    const later = store.batch([{ type: "delete", key: "k0000" }], { sync: false });
    let turns = 0;
    for (; await clock.isAsked(); turns += 1) {
      for (const key of ["k0000", "k0064", "k0999"]) expect(await store.get(key)).toBeUndefined();
      clock.turn();
    }
    expect(turns).toBe(Math.floor(999 / 64));
    await writing;
    await later;
    const found: string[] = [];
    for await (const [key] of store.range("k")) found.push(key);
    expect(found).toEqual(keys.slice(1));
    await store.close();
    remove();
  });
});

/** Rows k0 … k99, in a table of LevelDB. */
async function filledTable(path: string): Promise<void> {
  const store = await openLevelStore(path);
  const keys = Array.from({ length: 100 }, (_, at) => `k${at}`);
  const value = Buffer.alloc(100, 7);
  await store.batch(
    keys.map((key) => ({ type: "put", key, value }) as const),
    { sync: true },
  );
  await store.close();
  // What is in the log file goes to a table when the store is opened.
  await (await openLevelStore(path)).close();
}

/** 10 ms pass between two looks, and a turn ends when the test says so. */
class SlowClock implements Clock {
  #nowMs = 0;
  #run: (() => void) | undefined;

  monotonicMs(): number {
    this.#nowMs += 10;
    return this.#nowMs;
  }

  wallMs(): number {
    return 0;
  }

  schedule(_delayMs: number, run: () => void): () => void {
    this.#run = run;
    return () => undefined;
  }

  defer(run: () => void): void {
    queueMicrotask(run);
  }

  async isAsked(): Promise<boolean> {
    await setImmediate();
    return this.#run !== undefined;
  }

  turn(): void {
    const run = this.#run;
    this.#run = undefined;
    run?.();
  }
}
