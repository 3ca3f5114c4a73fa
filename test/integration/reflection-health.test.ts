// What a foreign client finds at a real cluster: reflection and the standard health service. (rpc-python-example.test.ts has
// a Python program made from proto/ alone.)
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkHealth, listServices } from "../support/grpc-tools.ts";
import { LocalCluster } from "../support/local-cluster.ts";

let cluster: LocalCluster;

beforeAll(async () => {
  cluster = await LocalCluster.create();
  await cluster.up();
});

afterAll(async () => {
  await cluster.close();
});

test("reflection: every broker lists the public services and none of its own", async () => {
  for (const { client } of cluster.nodes) {
    const names = await listServices(client);
    for (const name of ["Produce", "Fetch", "Metadata", "Admin"]) {
      expect(names).toContain(`flotilla.v1.${name}Service`);
    }
    expect(names.filter((name) => name.includes("internal"))).toEqual([]);
  }
});

test("health: SERVING on every client listener, by all names", async () => {
  for (const { client } of cluster.nodes) {
    for (const service of ["", "liveness", "readiness", "flotilla.v1.Broker"]) {
      await expect.poll(async () => checkHealth(client, service)).toBe("SERVING");
    }
  }
});

test("health: a stopping broker says NOT_SERVING or nothing, the others stay SERVING", async () => {
  const [first, second] = cluster.nodes;
  if (first === undefined || second === undefined) throw new Error("no nodes");
  const stopped = cluster.stop(first.id);
  await expect
    .poll(async () => checkHealth(first.client, "readiness").catch(() => "gone"))
    .not.toBe("SERVING");
  expect(await stopped).toBe(0);
  expect(await checkHealth(second.client, "liveness")).toBe("SERVING");
  cluster.start(first.id);
  await cluster.waitHealthy(first.id);
});
