// Files of evidence: a shard is one line of JSON, and those of one and the same source are added up. Used by the evidence
// commands of the simulator and of the chaos tests, which know what a shard says.
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import type { z } from "zod";

export function appendShard(file: string, shard: object): void {
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, `${JSON.stringify(shard)}\n`);
}

/** @throws Error with the number of the line that is no shard */
export function parseShards<T>(schema: z.ZodType<T>, lines: string, name: string): T[] {
  return lines.split("\n").flatMap((line, at) => {
    if (line.trim() === "") return [];
    try {
      return [schema.parse(JSON.parse(line))];
    } catch (cause) {
      throw new Error(`${name}:${at + 1} is no shard`, { cause });
    }
  });
}

/** @returns why shards about different sources can not be added up; undefined when there is one source */
export function sourceConflict(shards: readonly { readonly src: string }[]): string | undefined {
  const sources = new Set(shards.map(({ src }) => src));
  return sources.size > 1
    ? `they are about different sources: ${[...sources].join(", ")}`
    : undefined;
}

export interface ShardChoice<T> {
  /** Of all files in the directory, below the root. */
  readonly root: string;
  readonly directory: string;
  /** Git's hash of the present source. */
  readonly present: string;
  readonly read: (lines: string, name: string) => T[];
  readonly conflictIn: (shards: readonly T[]) => string | undefined;
}

/**
 * The shards that the command line asks for: [--src HASH|present] [FILES].
 * @returns undefined, after it was told why, when there are none or they can not be added up
 */
export function chosenShards<T extends { readonly src: string }>(
  choice: ShardChoice<T>,
): readonly [T, ...T[]] | undefined {
  const { conflictIn, directory, present, read, root } = choice;
  const options = { src: { type: "string" } } as const;
  const { positionals, values } = parseArgs({ allowPositionals: true, options });
  const wanted = values.src === "present" ? present : values.src;
  const files = positionals.length > 0 ? positionals : filesOf(join(root, directory));
  const all = files.flatMap((file) => read(readFileSync(file, "utf8"), file));
  const [first, ...rest] = all.filter(({ src }) => wanted === undefined || src.startsWith(wanted));
  if (first === undefined) {
    process.stdout.write(`no shards in ${positionals.length > 0 ? files.join(", ") : directory}\n`);
    return undefined;
  }
  const conflict = conflictIn([first, ...rest]);
  if (conflict === undefined) return [first, ...rest];
  process.stdout.write(`these shards cannot be added up: ${conflict}\n`);
  return undefined;
}

function filesOf(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => name.endsWith(".jsonl"));
  return names.sort().map((name) => join(directory, name));
}
