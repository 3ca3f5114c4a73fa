// The metadata group's replica in the directory of a stopped broker becomes the whole group, whatever interrupted that before.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openKeyedStore } from "../../src/broker/data-directory.ts";
import { MetadataRecovery } from "../../src/broker/metadata-recovery.ts";
import type { BrokerNode } from "../../src/broker/node.ts";
import { readNodeFile } from "../../src/cluster/cluster-format.ts";
import { recoveredRevision } from "../../src/cluster/revisions.ts";
import { openRealDisk } from "../../src/log/real-disk.ts";
import { id } from "../cluster/support.ts";
import { temporaryDirectory } from "../log/temporary.ts";
import { formatFor, openBroker } from "../support/one-broker.ts";

let directory: ReturnType<typeof temporaryDirectory>;
beforeEach(async () => {
  directory = temporaryDirectory();
  await formatFor(openRealDisk(directory.path), [1, 2, 3]);
  await (await open()).close();
});
afterEach(() => directory.remove());

/** The broker of the directory, not started. */
async function open(): Promise<BrokerNode> {
  const disk = openRealDisk(directory.path);
  const keyed = await openKeyedStore(disk, directory.path);
  return (await openBroker(disk, keyed)).broker;
}

function revisionInNodeFile(): number | undefined {
  return readNodeFile(openRealDisk(directory.path)).metadataRevision;
}

test("recovered: the whole group, under a revision beyond what lost entries can have given", async () => {
  const recovery = await MetadataRecovery.open(directory.path);
  expect(recovery.view).toMatchObject({
    replicaId: id(1, 0),
    membership: { voters: [id(1, 0), id(2, 0), id(3, 0)] },
    isBegun: false,
  });
  const revision = await recovery.recover();
  await recovery.close();
  expect(revision).toBe(recoveredRevision(recovery.view.lastIndex, id(1, 0)));
  expect(revisionInNodeFile()).toBe(revision);
  const broker = await open();
  expect(broker.metadata.replicaId).toBe(id(1, revision));
  await broker.close();
  const again = await MetadataRecovery.open(directory.path);
  const membership = { voters: [id(1, revision)], learners: [] };
  expect(again.view).toMatchObject({ replicaId: id(1, revision), membership, isBegun: false });
  await again.close();
});

test("interrupted before the node file named the new replica: finished, not begun again", async () => {
  const nodeFile = join(directory.path, "node.json");
  const before = readFileSync(nodeFile);
  const first = await MetadataRecovery.open(directory.path);
  const revision = await first.recover();
  await first.close();
  writeFileSync(nodeFile, before);
  const second = await MetadataRecovery.open(directory.path);
  expect(second.view.isBegun).toBe(true);
  expect(await second.recover()).toBe(revision);
  await second.close();
  expect(revisionInNodeFile()).toBe(revision);
});
