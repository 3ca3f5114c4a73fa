// Guards wire compatibility of the public protocol: compares proto/flotilla/v1 with the contract of the last release,
// kept in proto/baseline/flotilla-v1.json. Called by scripts/generate.ts --check; `tsx scripts/proto-breaking.ts --accept`
// takes the present protocol as the new baseline (part of making a release).
//
// Refused: a removed or renamed rpc, message, enum or field; a changed number, type, repetition or presence; a changed
// request or response type or streaming direction; an enum value removed or renumbered. Additions are fine.
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import protobuf from "protobufjs";
import { declarations, loadProtos, PROTO_DIRECTORY } from "./generate/proto-files.ts";

export const BASELINE_FILE = "proto/baseline/flotilla-v1.json";
const BASELINE_PATH = path.join(PROTO_DIRECTORY, "baseline", "flotilla-v1.json");

/** One line per fact that clients rely on: what it is about → what it says. */
export type Contract = Readonly<Record<string, string>>;

/** The facts of the public package. Keys are stable names, so a rename shows as a removal. */
export function contractOf(root: protobuf.Root): Contract {
  const facts: Record<string, string> = {};
  for (const item of declarations(root.lookup("flotilla.v1") as protobuf.Namespace)) {
    const name = item.fullName.slice(1);
    if (item instanceof protobuf.Enum) {
      facts[`enum ${name}`] = "exists";
      for (const [value, number] of Object.entries(item.values)) {
        facts[`value ${name}.${value}`] = String(number);
      }
    } else if (item instanceof protobuf.Service) {
      for (const method of item.methodsArray)
        facts[`rpc ${name}/${method.name}`] = methodFact(method);
    } else {
      facts[`message ${name}`] = "exists";
      for (const field of item.fieldsArray) facts[`field ${name}.${field.name}`] = fieldFact(field);
    }
  }
  return Object.fromEntries(Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Sentences, one per fact of `before` that `after` no longer states. */
export function breakingChanges(before: Contract, after: Contract): string[] {
  return Object.entries(before).flatMap(([subject, fact]) => {
    const now = after[subject];
    if (now === undefined) return [`${subject} was removed or renamed (was: ${fact})`];
    return now === fact ? [] : [`${subject} changed from "${fact}" to "${now}"`];
  });
}

export function readBaseline(): Contract {
  return JSON.parse(readFileSync(BASELINE_PATH, "utf8")) as Contract;
}

function methodFact(method: protobuf.Method): string {
  const request = `${method.requestStream === true ? "stream " : ""}${method.requestType}`;
  const response = `${method.responseStream === true ? "stream " : ""}${method.responseType}`;
  return `(${request}) returns (${response})`;
}

function fieldFact(field: protobuf.Field): string {
  field.resolve();
  const type = field.resolvedType?.fullName.slice(1) ?? field.type;
  const shape = field instanceof protobuf.MapField ? `map<${field.keyType}, ${type}>` : type;
  const label = field.repeated
    ? "repeated "
    : field.hasPresence && field.resolvedType === null
      ? "optional "
      : "";
  return `${label}${shape} = ${field.id}`;
}

function main(): void {
  const contract = contractOf(loadProtos());
  if (process.argv.includes("--accept")) {
    writeFileSync(BASELINE_PATH, `${JSON.stringify(contract, null, 2)}\n`);
    return;
  }
  const changes = breakingChanges(readBaseline(), contract);
  for (const change of changes) process.stderr.write(`${change}\n`);
  process.exitCode = changes.length === 0 ? 0 : 1;
}

if (process.argv[1] === import.meta.filename) main();
