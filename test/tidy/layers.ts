// Who may import whom, as data (docs/ARCHITECTURE.md has the picture). layers.test.ts compares every import of src
// with this table; type imports count. Whoever needs a new edge changes this file, and the reason belongs in review.

export interface Room {
  /** Rooms of src that may be imported. */
  readonly rooms: readonly string[];
  /** Packages and node: modules that any file of the room may import. */
  readonly packages: readonly string[];
  /** Exceptions for single files: file (relative to the room) → further packages. */
  readonly files?: Readonly<Record<string, readonly string[]>>;
  /** Single files of other rooms that may be imported, relative to src. */
  readonly foreignFiles?: readonly string[];
  /** No async, clock, randomness or node: module in any file. */
  readonly pure?: boolean;
}

const FEATURES = ["replica", "raft", "log", "filter", "quota", "observe", "model", "base"];

export const ROOMS: Readonly<Record<string, Room>> = {
  base: {
    rooms: [],
    packages: [],
    files: { "crc32c.ts": ["@node-rs/crc32"], "random.ts": ["node:crypto"] },
  },
  model: { rooms: ["base"], packages: [] },
  observe: {
    rooms: ["model", "base"],
    packages: ["pino", "prom-client", "node:perf_hooks", "node:http", "node:net"],
  },
  config: { rooms: ["model", "base"], packages: ["yaml", "zod", "node:fs", "node:path"] },
  raft: { rooms: ["model", "base"], packages: [], pure: true },
  filter: {
    rooms: ["model", "base"],
    packages: [],
    files: { "topic-selection.ts": ["re2js"] },
    pure: true,
  },
  quota: { rooms: ["model", "base"], packages: [], pure: true },
  log: {
    rooms: ["observe", "model", "base"],
    packages: ["classic-level", "node:fs", "node:fs/promises", "node:path"],
  },
  rpc: {
    rooms: ["observe", "model", "base"],
    packages: [
      "@grpc/grpc-js",
      "@grpc/proto-loader",
      "@grpc/reflection",
      "grpc-health-check",
      "node:fs",
      "node:buffer",
      "node:events",
      "node:http2",
      "node:net",
      "node:path",
      "node:stream",
      "node:url",
    ],
  },
  replica: { rooms: ["raft", "log", "observe", "model", "base"], packages: [] },
  cluster: { rooms: FEATURES, packages: [] },
  partition: { rooms: FEATURES, packages: [] },
  delivery: { rooms: FEATURES, packages: [] },
  broker: {
    rooms: ["cluster", "partition", "delivery", "rpc", "config", ...FEATURES],
    packages: ["node:fs", "node:path"],
    files: {
      "data-directory.ts": ["node:child_process"],
      "services/admin-service.ts": ["node:crypto"],
      "dead-letters.ts": ["node:crypto"],
      "process-memory.ts": ["node:os", "node:v8", "node:vm"],
    },
  },
  client: { rooms: ["rpc", "model", "base"], packages: [] },
  testkit: { rooms: ["model", "base"], packages: [], pure: true },
  cli: {
    rooms: ["broker", "client", "config", "observe", "model", "base"],
    packages: [
      "commander",
      "cli-progress",
      "cli-table3",
      "picocolors",
      "node:child_process",
      "node:fs",
      "node:fs/promises",
      "node:os",
      "node:path",
      "node:process",
      "node:readline",
      "node:stream",
      "node:url",
      "node:util",
    ],
    files: { "heap.ts": ["node:v8"] },
    // Formatting data directories is local work: no broker runs yet.
    foreignFiles: ["cluster/cluster-format.ts", "log/real-disk.ts"],
  },
};

/** Pure by name, in whatever room they are. */
export const PURE_FILE: RegExp = /-(state|table|plan)\.ts$/;

/** Sizes in lines; generated code is not measured. */
export const FILE_LINES_MAX = 500;
export const FILE_LINES_WARN = 350;
export const FUNCTION_LINES_MAX = 70;
export const GENERATED: RegExp = /^rpc\/generated\//;

/**
 * Functions longer than the cap that are tolerated for now: "file#name" → lines. The list may only shrink: an entry
 * that is not needed any more, or larger than needed, fails the test.
 */
export const LONG_FUNCTIONS: Readonly<Record<string, number>> = {};

/** Calls that only certain files may make: pattern → files or rooms (relative to src) that are allowed to. */
export const BANNED_CALLS: readonly {
  readonly what: string;
  readonly pattern: RegExp;
  readonly allowed: readonly string[];
}[] = [
  {
    what: "Date.now or new Date()",
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)/,
    allowed: ["base/clock.ts", "cli/"],
  },
  { what: "performance.now", pattern: /\bperformance\.now\b/, allowed: ["base/clock.ts", "cli/"] },
  { what: "Math.random", pattern: /\bMath\.random\b/, allowed: ["base/random.ts"] },
  {
    what: "random bytes of crypto",
    pattern: /\brandomBytes\b|\brandomUUID\b/,
    allowed: ["base/random.ts"],
  },
  {
    what: "timers",
    pattern: /(?<![.\w])(?:setTimeout|setInterval|setImmediate)\(/,
    allowed: ["base/clock.ts", "cli/"],
  },
  { what: "console", pattern: /\bconsole\.\w+/, allowed: ["cli/"] },
  { what: "process.env", pattern: /\bprocess\.env\b/, allowed: ["cli/"] },
  { what: "process.exit", pattern: /\bprocess\.exit\b/, allowed: ["cli/"] },
];

/** What must not stand in a pure file, besides imports of node: modules. */
export const BANNED_IN_PURE: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  { what: "async", pattern: /\basync\b/ },
  { what: "await", pattern: /\bawait\b/ },
  { what: "Promise", pattern: /\bnew Promise\b|\bPromise\.\w+/ },
  { what: "queueMicrotask", pattern: /\bqueueMicrotask\b/ },
  { what: "a clock", pattern: /\bmonotonicMs\(|\bwallMs\(/ },
];
