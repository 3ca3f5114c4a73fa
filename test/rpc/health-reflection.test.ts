import { Client, credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { service as healthDefinition, protoPath } from "grpc-health-check";
import { afterEach, expect, test } from "vitest";
import { HealthEndpoint } from "../../src/rpc/health.ts";
import { packageRoot, protoDirectory } from "../../src/rpc/package-root.ts";
import { reflectionEndpoint } from "../../src/rpc/reflection.ts";
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

interface CheckMethod {
  readonly path: string;
  readonly requestSerialize: (message: object) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => object;
}

function checkHealth(endpoint: string, service: string): Promise<string> {
  const { Check: check } = healthDefinition as unknown as { Check: CheckMethod };
  const client = new Client(endpoint, credentials.createInsecure());
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      check.path,
      check.requestSerialize,
      check.responseDeserialize,
      { service },
      (error, response) => {
        client.close();
        if (error !== null) reject(error);
        else resolve((response as { status: string }).status);
      },
    );
  });
}

const REFLECTION = `
  syntax = "proto3";
  package grpc.reflection.v1;
  service ServerReflection { rpc ServerReflectionInfo(stream Request) returns (stream Response); }
  message Request { string host = 1; oneof message_request { string list_services = 7; } }
  message Response { ListServiceResponse list_services_response = 6; }
  message ListServiceResponse { repeated ServiceResponse service = 1; }
  message ServiceResponse { string name = 1; }
`;

interface ReflectionStream {
  write(message: object): void;
  end(): void;
  on(event: "data", listener: (message: ListedServices) => void): void;
  on(event: "error", listener: (error: Error) => void): void;
}
interface ListedServices {
  readonly listServicesResponse: { readonly service: readonly { readonly name: string }[] };
}
type ReflectionClient = new (
  endpoint: string,
  insecure: ReturnType<typeof credentials.createInsecure>,
) => Client & { ServerReflectionInfo(): ReflectionStream };

async function listServices(endpoint: string): Promise<string[]> {
  const { mkdtempSync, writeFileSync, rmSync } = await import("node:fs");
  const { tmpdir } = await import("node:os");
  const directory = mkdtempSync(`${tmpdir()}/reflection-`);
  writeFileSync(`${directory}/reflection.proto`, REFLECTION);
  const loaded = loadPackageDefinition(loadSync(`${directory}/reflection.proto`, { oneofs: true }));
  rmSync(directory, { recursive: true });
  const { grpc } = loaded as unknown as {
    grpc: { reflection: { v1: { ServerReflection: ReflectionClient } } };
  };
  const client = new grpc.reflection.v1.ServerReflection(endpoint, credentials.createInsecure());
  const stream = client.ServerReflectionInfo();
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    stream.on("data", (message) => {
      resolve(message.listServicesResponse.service.map((item) => item.name));
      stream.end();
      client.close();
    });
    stream.write({ listServices: "" });
  });
}
