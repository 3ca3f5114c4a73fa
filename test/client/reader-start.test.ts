import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { type ClientDeps, silentLogger } from "../../src/client/client-deps.ts";
import { ConnectionPool } from "../../src/client/connection-pool.ts";
import { MetadataCache } from "../../src/client/metadata-cache.ts";
import { ClusterReader } from "../../src/client/reader.ts";
import { findStart } from "../../src/client/reader-start.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FakeCluster } from "./fake-cluster.ts";

/** A client that remembers two topics; brokers answer questions about offsets when they are let. */
function setUp() {
  const time = new VirtualClock();
  const cluster = new FakeCluster(time.root);
  for (const name of ["t", "u", "v", "w"]) cluster.addTopic(name, 1);
  const connections = new ConnectionPool(cluster.connector);
  const clock = time.fork();
  const random = seededRandom(3);
  const { bootstrap } = cluster;
  const metadata = new MetadataCache({ bootstrap, connections, clock, random, topicsMax: 2 });
  const deps: ClientDeps = { clock, random, log: silentLogger, connections, metadata };
  let isAnswered = false;
  let asked = 0;
  cluster.handlers.set("ListOffsets", () => {
    asked += 1;
    if (!isAnswered) throw new BrokerError("LEADER_UNKNOWN", "an election");
    return { logStartOffset: 3, highWatermark: 9, leaderEpoch: 1, offset: 9 };
  });
  const answer = (): void => {
    isAnswered = true;
  };
  const untilAsked = async (): Promise<void> => {
    expect(await time.runUntil(() => asked > 0, 5000)).toBe(true);
  };
  const useOthers = async (): Promise<void> => {
    for (const name of ["u", "v", "w"]) await time.until(metadata.refresh(name));
  };
  return { time, cluster, deps, metadata, answer, untilAsked, useOthers };
}

const { signal } = new AbortController();

describe("start of a reader", () => {
  it("its topic is not forgotten while offsets are asked for, however many others are used", async () => {
    const { time, deps, metadata, answer, untilAsked, useOthers } = setUp();
    const starting = findStart(deps, { topic: "t" }, signal);
    await untilAsked();
    await useOthers();
    answer();
    const { cursors, route } = await time.until(starting);
    expect(metadata.topic("t")).toBe(route);
    expect([route.holders, cursors.map(({ nextOffset }) => nextOffset)]).toEqual([1, [3]]);
  });

  it("refused: its topic may be forgotten again", async () => {
    const { time, deps, metadata, useOthers } = setUp();
    const wrong = findStart(deps, { topic: "t", partitions: [7] }, signal);
    await expect(time.until(wrong)).rejects.toMatchObject({ reason: "INVALID_REQUEST" });
    expect(metadata.topic("t")?.holders).toBe(0);
    await useOthers();
    expect(metadata.topic("t")).toBeUndefined();
  });

  it("a reader that is closed meanwhile, and one that is closed later, let go of it", async () => {
    const { time, deps, metadata, answer, untilAsked } = setUp();
    const early = new ClusterReader(deps, { topic: "t" }, () => undefined);
    const ended = early.wait();
    await untilAsked();
    expect(metadata.topic("t")?.holders).toBe(1);
    await early.close();
    expect(await time.until(ended)).toBe(false);
    expect(metadata.topic("t")?.holders).toBe(0);
    answer();
    const later = new ClusterReader(deps, { topic: "t" }, () => undefined);
    void later.wait();
    await time.runUntil(() => later.highWatermark(0) === 9, 5000);
    expect(metadata.topic("t")?.holders).toBe(1);
    await later.close();
    expect(metadata.topic("t")?.holders).toBe(0);
  });
});
