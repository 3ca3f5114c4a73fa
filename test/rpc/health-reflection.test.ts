import { protoPath } from "grpc-health-check";
import { afterEach, expect, test } from "vitest";
import { HealthEndpoint } from "../../src/rpc/health.ts";
import { packageRoot, protoDirectory } from "../../src/rpc/package-root.ts";
import { reflectionEndpoint } from "../../src/rpc/reflection.ts";
import { checkHealth, listServices } from "../support/grpc-tools.ts";
import { type Loopback, openLoopback } from "./loopback.ts";

let loopback: Loopback | undefined;
afterEach(async () => {
  await loopback?.close();
});

test("health: readiness follows the broker, liveness is there from the start", async () => {
  const health = new HealthEndpoint();
  loopback = await openLoopback(() => {}, { extensions: [health] });
  const check = (service: string): Promise<string> =>
    checkHealth(loopback?.endpoint ?? "", service);
  expect(await check("liveness")).toBe("SERVING");
  expect(await check("")).toBe("NOT_SERVING");
  health.setReady(true);
  expect(await check("")).toBe("SERVING");
  expect(await check("flotilla.v1.Broker")).toBe("SERVING");
  health.setReady(false);
  expect(await check("readiness")).toBe("NOT_SERVING");
  expect(protoPath).toBeDefined();
});

test("reflection: lists the public services and no others", async () => {
  loopback = await openLoopback(() => {}, { extensions: [reflectionEndpoint()] });
  const names = await listServices(loopback.endpoint);
  for (const name of ["Produce", "Fetch", "Metadata", "Admin"]) {
    expect(names).toContain(`flotilla.v1.${name}Service`);
  }
  expect(names.filter((name) => name.includes("internal"))).toEqual([]);
});

test("package root: is found from src and holds proto/", () => {
  expect(protoDirectory()).toBe(`${packageRoot()}/proto`);
  expect(() => packageRoot("/")).toThrow();
});
