// The checks over parsed sources. Each returns one sentence per offence; the tests expect none.
import { BANNED_CALLS, BANNED_IN_PURE, PURE_FILE, ROOMS } from "./layers.ts";
import { matchingLines, type SourceFile } from "./sources.ts";

/** Imports that the table of rooms does not allow. */
export function layerOffences(sources: readonly SourceFile[]): string[] {
  return sources.flatMap((source) => {
    const room = ROOMS[source.room];
    if (room === undefined)
      return [`${source.file}: the room ${source.room} is not in test/tidy/layers.ts`];
    const inRoom = source.file.slice(source.room.length + 1);
    const packages = new Set([...room.packages, ...(room.files?.[inRoom] ?? [])]);
    return source.imports.flatMap(({ specifier, target, line }) => {
      const at = `${source.file}:${line}`;
      if (target === undefined) {
        return packages.has(specifier)
          ? []
          : [`${at}: ${source.room} must not import ${specifier}`];
      }
      const other = target.split("/")[0] ?? "";
      const isAllowed =
        other === source.room ||
        room.rooms.includes(other) ||
        room.foreignFiles?.includes(target) === true;
      return isAllowed ? [] : [`${at}: ${source.room} must not import ${target}`];
    });
  });
}

/** Groups of files that import each other in a circle (Tarjan's algorithm, with its own stack of names). */
export function importCycles(sources: readonly SourceFile[]): string[][] {
  const targets = new Map(
    sources.map((source) => [source.file, source.imports.flatMap((edge) => edge.target ?? [])]),
  );
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const cycles: string[][] = [];
  const visit = (file: string): number => {
    const number = order.size;
    order.set(file, number);
    let low = number;
    stack.push(file);
    for (const next of targets.get(file) ?? []) {
      if (!targets.has(next)) continue;
      if (!order.has(next)) low = Math.min(low, visit(next));
      else if (stack.includes(next)) low = Math.min(low, order.get(next) ?? low);
    }
    lowest.set(file, low);
    if (low === number) {
      const group = stack.splice(stack.indexOf(file));
      if (group.length > 1) cycles.push(group.sort());
    }
    return low;
  };
  for (const file of targets.keys()) if (!order.has(file)) visit(file);
  return cycles;
}

/** Calls that only the listed places may make. */
export function bannedCalls(sources: readonly SourceFile[]): string[] {
  return sources.flatMap((source) =>
    BANNED_CALLS.filter(
      (ban) => !ban.allowed.some((place) => source.file.startsWith(place)),
    ).flatMap((ban) =>
      matchingLines(source.code, ban.pattern).map((line) => `${source.file}:${line}: ${ban.what}`),
    ),
  );
}

/** Pure rooms and files: nothing asynchronous, no clock, no node: module. */
export function impurities(sources: readonly SourceFile[]): string[] {
  return sources
    .filter(isPure)
    .flatMap((source) => [
      ...BANNED_IN_PURE.flatMap((ban) =>
        matchingLines(source.code, ban.pattern).map(
          (line) => `${source.file}:${line}: ${ban.what}`,
        ),
      ),
      ...source.imports
        .filter(({ specifier }) => specifier.startsWith("node:"))
        .map(({ specifier, line }) => `${source.file}:${line}: ${specifier}`),
    ]);
}

function isPure(source: SourceFile): boolean {
  return ROOMS[source.room]?.pure === true || PURE_FILE.test(source.file);
}
