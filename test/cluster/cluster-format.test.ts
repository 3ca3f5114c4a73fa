import { describe, expect, test } from "vitest";
import {
  type FormatOptions,
  formatDirectory,
  foundingMembership,
  metadataReplicaOf,
  NODE_FILE,
  readNodeFile,
  recordMetadataRevision,
  replaceMetadataRevision,
} from "../../src/cluster/cluster-format.ts";
import { MemoryDisk } from "../../src/log/memory-disk.ts";
import { StorageError } from "../../src/log/ports.ts";
import { replicaIdOf } from "../../src/model/ids.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { node, random } from "./support.ts";

const OPTIONS: FormatOptions = {
  clusterId: "c-1",
  nodeId: node(2),
  nodeIds: [1, 5, 2, 4].map(node),
  joins: false,
  clock: new VirtualClock().root,
  random: random(),
};

function write(disk: MemoryDisk, path: string, text: string): void {
  if (disk.exists(path)) disk.remove(path);
  const file = disk.open(path, { create: true });
  file.append([Buffer.from(text)]);
  file.close();
}

async function kindOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof StorageError) return error.kind;
    throw error;
  }
  return "none";
}

describe("cluster format", () => {
  test("founding: the three lowest nodes vote, the others learn; survives a power cut", async () => {
    const disk = new MemoryDisk();
    const file = await formatDirectory(disk, OPTIONS);
    const found = readNodeFile(disk.crash(random(5)));
    expect(found).toEqual(file);
    expect(found).toMatchObject({ formatVersion: 1, clusterId: "c-1", nodeId: 2 });
    expect(foundingMembership(found)).toEqual({
      voters: [1, 2, 4].map((id) => replicaIdOf(node(id), 0)),
      learners: [replicaIdOf(node(5), 0)],
    });
    expect(metadataReplicaOf(found)).toBe(replicaIdOf(node(2), 0));
  });

  test("joining: begins in the configuration of the founding, not in a guess from the present nodes", async () => {
    const disk = new MemoryDisk();
    const founders = { metadataVoters: [1, 2, 3].map(node), metadataLearners: [] };
    await formatDirectory(disk, { ...OPTIONS, joins: true, founders });
    const found = readNodeFile(disk);
    expect(foundingMembership(found).voters).toEqual(
      [1, 2, 3].map((id) => replicaIdOf(node(id), 0)),
    );
    expect(metadataReplicaOf(found)).toBeUndefined();
  });

  test("metadata revision: replaced by a higher one only (forced recovery)", async () => {
    const disk = new MemoryDisk();
    await formatDirectory(disk, OPTIONS);
    expect((await replaceMetadataRevision(disk, 7)).metadataRevision).toBe(7);
    expect((await replaceMetadataRevision(disk, 7)).metadataRevision).toBe(7);
    expect(metadataReplicaOf(readNodeFile(disk.crash(random(5))))).toBe(replicaIdOf(node(2), 7));
    await expect(replaceMetadataRevision(disk, 6)).rejects.toThrow();
  });

  test("refusal: formatted and non-empty directories stay as they are", async () => {
    const disk = new MemoryDisk();
    write(disk, "notes.txt", "mine");
    expect(await kindOf(() => formatDirectory(disk, OPTIONS))).toBe("io");
    expect(disk.list("")).toEqual(["notes.txt"]);
    disk.remove("notes.txt");
    const first = await formatDirectory(disk, OPTIONS);
    await expect(formatDirectory(disk, OPTIONS)).rejects.toThrow(
      "formatted already (node 2 of cluster c-1)",
    );
    expect(readNodeFile(disk)).toEqual(first);
  });

  test("interruption: a power cut at any point leaves a directory unformatted or formatted", async () => {
    for (let seed = 0; seed < 40; seed += 1) {
      const disk = new MemoryDisk();
      const steps = formatDirectory(disk, OPTIONS).catch(() => undefined);
      for (let turn = 0; turn < seed % 5; turn += 1) await Promise.resolve();
      const after = disk.crash(random(seed));
      await steps;
      if (after.exists(NODE_FILE)) expect(readNodeFile(after).clusterId).toBe("c-1");
      else await formatDirectory(after, OPTIONS);
    }
  });

  test("identity: formatting an emptied disk gives another directory, a joining one learns its revision", async () => {
    const first = await formatDirectory(new MemoryDisk(), OPTIONS);
    const disk = new MemoryDisk();
    const second = await formatDirectory(disk, { ...OPTIONS, joins: true });
    expect(second.directoryId).not.toBe(first.directoryId);
    expect(metadataReplicaOf(readNodeFile(disk))).toBeUndefined();
    await recordMetadataRevision(disk, 17);
    await recordMetadataRevision(disk, 17);
    expect(metadataReplicaOf(readNodeFile(disk))).toBe(replicaIdOf(node(2), 17));
    await expect(recordMetadataRevision(disk, 18)).rejects.toThrow("never changes");
  });

  test.each([
    ["missing", undefined, "missing"],
    ["damaged", "{", "corrupt"],
    ["of a newer format", '{"formatVersion":2}', "version"],
    ["without node id", '{"formatVersion":1}', "corrupt"],
    ["not an object", "7", "corrupt"],
  ])("reading: a node file that is %s is told apart", async (_, text, kind) => {
    const disk = new MemoryDisk();
    if (text !== undefined) write(disk, NODE_FILE, text);
    expect(await kindOf(() => readNodeFile(disk))).toBe(kind);
  });

  test("ids: lists with strangers, repetitions and impossible ids are refused", async () => {
    for (const nodeIds of [
      [1, 3],
      [2, 2],
      [2, 0],
      [2, 5000],
    ]) {
      const options = { ...OPTIONS, nodeIds: nodeIds.map(node) };
      await expect(formatDirectory(new MemoryDisk(), options)).rejects.toThrow(RangeError);
    }
  });
});
