// Server reflection: lets grpcurl and similar tools discover the public services. The brokers' own are not listed.
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { protoDirectory } from "./package-root.ts";
import type { ServerExtension } from "./server.ts";

const PUBLIC_FILES = [
  "flotilla/v1/admin_service.proto",
  "flotilla/v1/fetch_service.proto",
  "flotilla/v1/metadata_service.proto",
  "flotilla/v1/produce_service.proto",
  "flotilla/v1/dead_letter_service.proto",
  "flotilla/v1/subscription_service.proto",
];

export function reflectionEndpoint(): ServerExtension {
  const definitions = loadSync(PUBLIC_FILES, {
    includeDirs: [protoDirectory()],
    keepCase: true,
    longs: String,
  });
  return new ReflectionService(definitions);
}
