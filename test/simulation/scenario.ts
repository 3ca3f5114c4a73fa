// Named scenarios: plans that once failed, made small, or that are worth repeating; kept as JSON in scenarios/ and run by
// the unit tests. Read and written here.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { FAULT_KINDS } from "./faults/kinds.ts";
import type { SeedPlan } from "./plan/seed-plan.ts";

const number = z.number().nonnegative();
const flush = z.enum(["sync", "async"]);

const PLAN = z.strictObject({
  nodes: z.union([z.literal(3), z.literal(5)]),
  spareNodes: number.optional(),
  durationMs: number,
  lookMs: number.optional(),
  network: z.strictObject({ latencyMsMax: number, bufferBytes: number }),
  syncMsMax: number,
  topics: z.array(
    z.strictObject({
      name: z.string(),
      partitions: number,
      flush,
      isRolling: z.boolean(),
      valueBytes: number,
      replicas: z.literal(5).optional(),
    }),
  ),
  users: z.array(
    z.strictObject({
      name: z.string(),
      client: z.enum(["plain", "sdk"]),
      topic: z.string(),
      acks: z.enum(["all", "leader", "none"]),
      flush: z.literal("sync").optional(),
      pauseMsMax: number,
      burstMax: number,
    }),
  ),
  readers: z.strictObject({
    plain: z.array(z.string()),
    sdk: z.array(z.string()),
    asksForOutcomes: z.boolean(),
    asksForBounds: z.boolean().optional(),
    doubtful: z.array(z.string()).optional(),
    hasPassingTopics: z.boolean(),
  }),
  deliveryTimeoutMs: number,
  subscriptions: z
    .array(
      z.strictObject({
        name: z.string(),
        topics: z.array(z.string()),
        mode: z.enum(["shared", "keyed", "fifo", "exclusive"]),
        attemptsMax: number,
        onFailure: z.enum(["stop", "park", "skip"]),
        ackDeadlineMs: number,
        isFiltered: z.boolean(),
        filtersByTags: z.literal(true).optional(),
        hasDeadLetters: z.boolean(),
        troubles: number,
        consumers: z.array(
          z.strictObject({
            concurrency: number,
            prefetch: number,
            extends: z.boolean(),
            workMs: number,
            draw: number,
          }),
        ),
      }),
    )
    .optional(),
  faults: z.array(
    z.strictObject({
      kind: z.enum(FAULT_KINDS),
      atMs: number,
      lastsMs: number,
      draw: number,
      nodes: z.array(number).optional(),
    }),
  ),
});

const SCENARIO = z.strictObject({
  /** What goes on, and what it once showed. */
  about: z.string(),
  seed: number,
  plan: PLAN,
});

export interface Scenario {
  readonly about: string;
  readonly seed: number;
  readonly plan: SeedPlan;
}

export const SCENARIOS: string = join(import.meta.dirname, "scenarios");

/** @throws Error when the text is no scenario */
export function parseScenario(text: string, name: string): Scenario {
  try {
    return SCENARIO.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`${name} is no scenario`, { cause });
  }
}

export function scenarioNames(): string[] {
  const names = readdirSync(SCENARIOS).filter((name) => name.endsWith(".json"));
  return names.map((name) => name.slice(0, -".json".length)).sort();
}

export function readScenario(name: string): Scenario {
  return parseScenario(readFileSync(join(SCENARIOS, `${name}.json`), "utf8"), name);
}

export function writeScenario(name: string, scenario: Scenario): void {
  writeFileSync(join(SCENARIOS, `${name}.json`), formatScenario(scenario));
}

/** One fault, topic or user per line. */
export function formatScenario({ about, plan, seed }: Scenario): string {
  const list = (items: readonly unknown[]): string => {
    if (items.length === 0) return "[]";
    return `[\n${items.map((item) => `      ${JSON.stringify(item)}`).join(",\n")}\n    ]`;
  };
  const fields = Object.entries(plan).map(([name, value]) => {
    return `    "${name}": ${Array.isArray(value) ? list(value) : JSON.stringify(value)}`;
  });
  const text = [`  "about": ${JSON.stringify(about)}`, `  "seed": ${seed}`];
  return `{\n${text.join(",\n")},\n  "plan": {\n${fields.join(",\n")}\n  }\n}\n`;
}
