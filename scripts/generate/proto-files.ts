// Loads the protocol's files for the generator and the compatibility check.
import { readdirSync } from "node:fs";
import path from "node:path";
import protobuf from "protobufjs";

export const PROTO_DIRECTORY: string = path.join(import.meta.dirname, "..", "..", "proto");

/** Paths relative to proto/, sorted. */
export function protoFiles(directory: string = PROTO_DIRECTORY): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".proto"))
    .map((file) => file.split(path.sep).join("/"))
    .sort();
}

/** Everything below `directory`, resolved. */
export function loadProtos(directory: string = PROTO_DIRECTORY): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => path.join(directory, target);
  root.loadSync(protoFiles(directory), { keepCase: false, alternateCommentMode: true });
  root.resolveAll();
  return root;
}

/** Messages, enums and services below `namespace`, outer ones first, in the order of the files. */
export function declarations(
  namespace: protobuf.NamespaceBase,
): (protobuf.Type | protobuf.Enum | protobuf.Service)[] {
  const found: (protobuf.Type | protobuf.Enum | protobuf.Service)[] = [];
  for (const item of namespace.nestedArray) {
    if (item instanceof protobuf.Enum || item instanceof protobuf.Service) found.push(item);
    if (item instanceof protobuf.Type) found.push(item);
    if (item instanceof protobuf.Namespace && !(item instanceof protobuf.Service)) {
      found.push(...declarations(item));
    }
  }
  return found;
}
