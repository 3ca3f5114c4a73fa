import { describe, expect, it } from "vitest";
import { type Deferred, deferred } from "../../src/base/deferred.ts";
import { APPEND_BYTES_MAX, READS_BEHIND_MAX } from "../../src/model/limits.ts";
import { ReadLimit, type ReadRank } from "../../src/replica/read-limit.ts";

async function settle(): Promise<void> {
  for (let i = 0; i < 12; i += 1) await Promise.resolve();
}

/** A limit whose places are all taken; what is asked for afterwards is begun in the order of `begun`. */
function full() {
  const limit = new ReadLimit();
  const { signal } = new AbortController();
  const places: Deferred<void>[] = [];
  const begun: string[] = [];
  for (let place = 0; place < READS_BEHIND_MAX; place += 1) {
    const end = deferred<void>();
    places.push(end);
    void limit.run("catch-up", signal, () => end.promise).catch(() => undefined);
  }
  const ask = (name: string, rank: ReadRank, until: AbortSignal = signal): Promise<void> =>
    limit.run(rank, until, () => {
      begun.push(name);
      return Promise.resolve();
    });
  return { limit, places, begun, ask };
}

describe("read limit", () => {
  it("room: begins at once, and counts while it reads", async () => {
    const limit = new ReadLimit();
    const end = deferred<void>();
    let isBegun = false;
    const run = limit.run("catch-up", new AbortController().signal, () => {
      isBegun = true;
      return end.promise;
    });
    expect([isBegun, limit.bytes]).toEqual([true, APPEND_BYTES_MAX]);
    end.resolve();
    await run;
    expect(limit.bytes).toBe(0);
  });

  it("no room: waits; the metadata group goes first, then who applies, each in the order of asking", async () => {
    const { limit, places, begun, ask } = full();
    const all = [
      ask("follower 1", "catch-up"),
      ask("follower 2", "catch-up"),
      ask("state", "apply"),
      ask("metadata 1", "metadata"),
      ask("metadata 2", "metadata"),
    ];
    await settle();
    expect(begun).toEqual([]);
    places[0]?.resolve();
    await Promise.all(all);
    expect(begun).toEqual(["metadata 1", "metadata 2", "state", "follower 1", "follower 2"]);
    expect(limit.bytes).toBe((READS_BEHIND_MAX - 1) * APPEND_BYTES_MAX);
  });

  it("a failed read gives its place back", async () => {
    const { limit, places, begun, ask } = full();
    const next = ask("next", "catch-up");
    places[0]?.reject(new Error("unreadable"));
    await next;
    expect(begun).toEqual(["next"]);
    for (const place of places) place.resolve();
    await settle();
    expect(limit.bytes).toBe(0);
  });

  it("who ends while waiting: does not read, and is in nobody's way", async () => {
    const { places, begun, ask } = full();
    const ending = new AbortController();
    const gone = ask("gone", "metadata", ending.signal);
    const next = ask("next", "catch-up");
    ending.abort();
    await gone;
    places[0]?.resolve();
    await next;
    expect(begun).toEqual(["next"]);
  });
});
