import { expect, it } from "vitest";
import { createImage, type MetadataImage } from "../../src/cluster/metadata-image.ts";
import type { NodeRow } from "../../src/cluster/node-table.ts";
import { SubscriptionIndex } from "../../src/cluster/subscription-index.ts";
import type { NodeId } from "../../src/model/ids.ts";
import { MetadataChecks } from "./invariants/metadata-checks.ts";

const endpoints = { client: "a", peer: "b", admin: "c" };

function nodeRow(directoryId: string, registeredIndex: number, metadataRevision: number): NodeRow {
  const nodeId = 1 as NodeId;
  const identity = { nodeId, directoryId, incarnation: 1, registeredIndex, metadataRevision };
  const features = { min: 1, max: 1 };
  return { ...identity, endpoints, features, fenced: false, retiredDirectories: [] };
}

function imageAt(version: number, ...rows: readonly NodeRow[]): MetadataImage {
  const nothing = { removedNodes: new Map(), topics: new Map(), partitions: new Map() };
  const nodes = new Map(rows.map((row) => [row.nodeId, row]));
  const names = new Map();
  const parts = { version, featureLevel: 1, metadataVoters: 3, nodes, names, ...nothing };
  const subscriptions = SubscriptionIndex.EMPTY;
  return createImage({ ...parts, deletedTopics: new Map(), subscriptions });
}

function problemsOf(...images: readonly MetadataImage[]): readonly string[] {
  const problems: string[] = [];
  const checks = new MetadataChecks((problem) => problems.push(problem));
  for (const image of images) checks.check(image);
  return problems;
}

it("metadata checks: new directories with new ids, and nodes that lag behind, are no problem", () => {
  const former = nodeRow("d1", 5, 0);
  const present = nodeRow("d2", 9, 9);
  const images = [imageAt(5, former), imageAt(9, present), imageAt(7, former), imageAt(9, present)];
  expect(problemsOf(...images)).toEqual([]);
});

it("metadata checks: an id that means something else is found", () => {
  const problems = problemsOf(imageAt(5, nodeRow("d1", 5, 0)), imageAt(9, nodeRow("d2", 9, 0)));
  expect(problems.join()).toContain("metadata replica 1-0 was d1, is d2");
});

it("metadata checks: an id that was gone and comes back is found", () => {
  const row = nodeRow("d1", 5, 0);
  expect(problemsOf(imageAt(5, row), imageAt(7), imageAt(8, row)).join()).toContain(
    "was gone at 7",
  );
});
