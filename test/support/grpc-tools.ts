// What generic gRPC tools ask a server: the standard health service and reflection. No stubs of ours are used.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { service as healthDefinition } from "grpc-health-check";

interface CheckMethod {
  readonly path: string;
  readonly requestSerialize: (message: object) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => object;
}

/** "SERVING" or "NOT_SERVING". */
export function checkHealth(endpoint: string, service: string): Promise<string> {
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

/** Full names of the services that reflection lists. */
export function listServices(endpoint: string): Promise<string[]> {
  const directory = mkdtempSync(join(tmpdir(), "reflection-"));
  writeFileSync(join(directory, "reflection.proto"), REFLECTION);
  const definition = loadSync(join(directory, "reflection.proto"), { oneofs: true });
  rmSync(directory, { recursive: true });
  const { grpc } = loadPackageDefinition(definition) as unknown as {
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
