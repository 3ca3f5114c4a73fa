import { expect, it } from "vitest";
import { createImage, type MetadataImage } from "../../src/cluster/metadata-image.ts";
import type { NodeRow } from "../../src/cluster/node-table.ts";
import { SubscriptionIndex } from "../../src/cluster/subscription-index.ts";
import type { GroupId, NodeId } from "../../src/model/ids.ts";
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
  const nextGroupId = 1 as GroupId;
  const parts = {
    version,
    nextGroupId,
    skips: [],
    featureLevel: 1,
    metadataVoters: 3,
    nodes,
    names,
    ...nothing,
  };
  const subscriptions = SubscriptionIndex.EMPTY;
  return createImage({ ...parts, deletedTopics: new Map(), subscriptions });
}

/** As if nodes 1, 2 … came to these one after the other. */
function problemsOf(...images: readonly MetadataImage[]): readonly string[] {
  const problems: string[] = [];
  const checks = new MetadataChecks((problem) => problems.push(problem));
  for (const [at, image] of images.entries()) checks.check((at + 1) as NodeId, image);
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

it("metadata checks: two nodes at one version with different rows are found, and what differs is told", () => {
  const row = nodeRow("d1", 5, 0);
  const problems = problemsOf(
    imageAt(9, row),
    imageAt(9, row),
    imageAt(9, { ...row, fenced: true }),
  );
  expect(problems).toHaveLength(1);
  expect(problems.join()).toContain("version 9 on n3 and n1: node 1 is");
  expect(problems.join()).toContain('"fenced":true');
});

it("metadata checks: a row that one node lacks, and another level, are found", () => {
  const [row, other] = [nodeRow("d1", 5, 0), { ...nodeRow("d2", 6, 6), nodeId: 2 as NodeId }];
  expect(problemsOf(imageAt(9, row, other), imageAt(9, row)).join()).toContain("node 2 is nothing");
  const images = [imageAt(9, row), { ...imageAt(9, row), featureLevel: 2 }];
  expect(problemsOf(...images).join()).toContain('"featureLevel":2');
});

it("metadata checks: the same rows in another order, with fields in another order, are the same", () => {
  const [row, other] = [nodeRow("d1", 5, 0), { ...nodeRow("d2", 6, 6), nodeId: 2 as NodeId }];
  const { nodeId, ...rest } = row;
  const turned = { ...rest, nodeId };
  expect(problemsOf(imageAt(9, row, other), imageAt(9, other, turned))).toEqual([]);
});
