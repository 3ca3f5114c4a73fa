// Limits of client connections and streams that are lower than what brokers need among each other.
import { afterEach, expect, test } from "vitest";
import { grpcConnector } from "../../src/rpc/connector.ts";
import { GetMetadataRequest } from "../../src/rpc/generated/flotilla-v1.ts";
import { metadataService } from "../../src/rpc/methods.ts";
import { LocalCluster } from "../support/local-cluster.ts";

let cluster: LocalCluster;
afterEach(() => cluster.close());

test("limits: what clients are limited to does not keep brokers from each other", async () => {
  cluster = await LocalCluster.create({
    extraYaml: "limits: { connections: 1, streamsPerConnection: 1 }\n",
  });
  await cluster.up();
  for (const { admin } of cluster.nodes) {
    const text = await (await fetch(`http://${admin}/metrics`)).text();
    expect(text).toMatch(/^flotilla_rpc_connections\{listener="peer"\} [2-9]/m);
    expect(text).not.toMatch(/^flotilla_rpc_overloads_total\{[^}]*\} [1-9]/m);
  }
  const connection = grpcConnector({}).connect(cluster.node(1).client, "test");
  const other = grpcConnector({}).connect(cluster.node(1).client, "other");
  try {
    const request = GetMetadataRequest.create({ topics: [""], protocolVersion: 1 });
    const { brokers, controllerId } = await connection.unary(metadataService.getMetadata, request, {
      timeoutMs: 5000,
    });
    expect(brokers.map(({ fenced }) => fenced)).toEqual([false, false, false]);
    expect(controllerId).toBeGreaterThan(0);
    await expect(
      other.unary(metadataService.getMetadata, request, { timeoutMs: 5000 }),
    ).rejects.toMatchObject({ reason: "OVERLOADED", fields: { limit: "connections", max: 1 } });
  } finally {
    connection.close();
    other.close();
  }
});
