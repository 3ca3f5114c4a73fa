// What the brokers' processes use before the flood, in it, and when it is over: sockets, files, what they hold for clients,
// resident memory. The samples are judged by the checker of flotilla/testkit (A29): what an attack made a broker use, it must
// give back. Resident memory is only shown: V8 keeps pages for as long as it likes, and its peak has a bound of its own.
import { readdirSync, readlinkSync } from "node:fs";
import {
  type CheckReport,
  checkHistory,
  headerOf,
  type ResourceSample,
  type Rules,
} from "../../src/testkit/index.ts";
import { rssBytes } from "./memory-watch.ts";
import { page } from "./pressure.ts";

const EVERY_MS = 500;
/** In the flood samples are only shown, and a page of metrics costs the broker more than most attacks. */
const EVERY_MS_UNDER_LOAD = 5000;
const MIB = 1024 * 1024;
/** Of the log: the attacks write, and a partition of the bulk topic keeps up to five segments, of topics of theirs as well. */
const FILES_MORE_MAX = 24;
const HELD = /^flotilla_rpc_memory_used_bytes\{purpose="([^"]+)"\} (\d+)/gm;

export type Phase = ResourceSample["phase"];

export interface ResourceUse {
  readonly samples: readonly ResourceSample[];
  readonly leaks: CheckReport["anomalies"];
  /** Names of resources that were compared, idle with baseline, each with the number of brokers. */
  readonly compared: Readonly<Record<string, number>>;
}

export interface WatchedBroker {
  readonly node: number;
  readonly pid: number;
  readonly admin: string;
}

export class ResourceWatch {
  readonly samples: ResourceSample[] = [];
  readonly #brokers: readonly WatchedBroker[];
  #phase: Phase = "baseline";
  /** By the monotonic clock. */
  #takenMs = 0;
  #isClosed = false;
  #taking: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(brokers: readonly WatchedBroker[]) {
    this.#brokers = brokers;
    this.#next();
  }

  /** Samples that are begun from now on belong to this phase. */
  begin(phase: Phase): void {
    this.#phase = phase;
  }

  /** Resolves when the last sample was taken. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#taking;
  }

  #next(): void {
    if (this.#isClosed) return;
    this.#taking = this.#takeAll().then(() => {
      this.#timer = setTimeout(() => this.#next(), EVERY_MS);
    });
  }

  async #takeAll(): Promise<void> {
    const phase = this.#phase;
    const nowMs = performance.now();
    if (phase === "load" && nowMs - this.#takenMs < EVERY_MS_UNDER_LOAD) return;
    this.#takenMs = nowMs;
    await Promise.all(this.#brokers.map((broker) => this.#take(broker, phase)));
  }

  async #take({ admin, node, pid }: WatchedBroker, phase: Phase): Promise<void> {
    const open = openFiles(pid);
    if (open === undefined) return;
    const metrics = await page(admin, "metrics");
    // A sample that began in one phase and ended in another says nothing about either.
    if (phase !== this.#phase) return;
    const held = metrics === undefined ? {} : { heldBytes: heldBytes(metrics) };
    const values = { ...open, rssBytes: rssBytes(pid), ...held };
    this.samples.push({ type: "sample", atMs: performance.now(), node, phase, values });
  }
}

export function judgeUse(samples: readonly ResourceSample[]): ResourceUse {
  const allowances: readonly (readonly [string, Partial<Rules>])[] = [
    ["sockets", {}],
    ["files", { leakCountMin: FILES_MORE_MAX }],
    ["heldBytes", {}],
  ];
  const reports = allowances.map(([name, rules]) => {
    const own = samples.map((sample) => ({ ...sample, values: only(name, sample) }));
    return [name, checkHistory([headerOf("flood", rules), ...own])] as const;
  });
  return {
    samples,
    leaks: reports.flatMap(([, { anomalies }]) => anomalies),
    compared: Object.fromEntries(
      reports.map(([name, { examined }]) => [name, examined["resource-leak"] ?? 0]),
    ),
  };
}

function only(name: string, { values }: ResourceSample): Record<string, number> {
  const value = values[name];
  return value === undefined ? {} : { [name]: value };
}

export const COLUMNS: readonly string[] = ["sockets", "files", "held MiB", "RSS MiB"].flatMap(
  (name) => [`${name} before`, "most", "idle"],
);

/** Of each broker: the most before and in the flood, and the least after it, as the checker compares them. */
export function rowsOf(samples: readonly ResourceSample[]): string[][] {
  const nodes = [...new Set(samples.map(({ node }) => node))].sort((a, b) => a - b);
  return nodes.map((node) => {
    const of = (phase: Phase, name: string): number[] =>
      samples
        .filter((sample) => sample.node === node && sample.phase === phase)
        .flatMap(({ values }) => values[name] ?? []);
    const cells = (name: string, unit: number): string[] =>
      [
        Math.max(...of("baseline", name)),
        Math.max(...of("load", name)),
        Math.min(...of("idle", name)),
      ].map((value) => (Number.isFinite(value) ? (value / unit).toFixed(0) : "–"));
    const counts = [...cells("sockets", 1), ...cells("files", 1)];
    return [String(node), ...counts, ...cells("heldBytes", MIB), ...cells("rssBytes", MIB)];
  });
}

/** Undefined for a process that is gone, and where there is no /proc. */
function openFiles(pid: number): { readonly sockets: number; readonly files: number } | undefined {
  try {
    const directory = `/proc/${pid}/fd`;
    const all = readdirSync(directory);
    const sockets = all.filter((fd) => linkOf(`${directory}/${fd}`).startsWith("socket:")).length;
    return { sockets, files: all.length - sockets };
  } catch {
    return undefined;
  }
}

/** Empty for one that was closed meanwhile. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** For clients; what the whole process has is in rssBytes. */
function heldBytes(metrics: string): number {
  return [...metrics.matchAll(HELD)]
    .filter(([, purpose]) => purpose !== "process")
    .reduce((sum, [, , bytes]) => sum + Number(bytes), 0);
}
