// The one description of cluster.yaml: types, defaults, ranges and documentation of every key. The validator, the
// list of known keys, the environment variables and docs/CONFIG.md all come from it. Called by parse-config and docs.
import { z } from "zod";
import { NODE_ID_MAX } from "../model/ids.ts";
import {
  CONNECTIONS_MAX,
  PARKED_FETCHES_MAX,
  PARTITIONS_PER_TOPIC_MAX,
  PRODUCE_INFLIGHT_BYTES_MAX,
  REPLICATION_FACTOR_MAX,
  STREAMS_PER_CONNECTION_MAX,
} from "../model/limits.ts";
import { MEMORY_BUDGET_MAX, MEMORY_BUDGET_MIN } from "../model/memory-budget.ts";
import {
  address,
  choice,
  count,
  documented,
  duration,
  META,
  type Scope,
  size,
  text,
} from "./schema-values.ts";
import { formatSize } from "./units.ts";

/** One documented key. */
export interface ConfigRow {
  /** "raft.tick", "nodes[].dataDir". */
  readonly key: string;
  /** "duration", "size", "integer", "text", "address", "yes or no", or the list of allowed words. */
  readonly type: string;
  /** As written in the file; undefined: required, or explained by `about`. */
  readonly default: string | undefined;
  readonly required: boolean;
  /** In words, inclusive; empty when any. */
  readonly range: string;
  readonly scope: Scope;
  readonly about: string;
}

const PATH = /^[^\0]{1,1000}$/;

const nodeSchema = z.strictObject({
  id: documented(z.int().min(1).max(NODE_ID_MAX), {
    type: "integer",
    scope: "node",
    about: "Identifies the broker for its whole life; never reuse the id of a node that is gone.",
    range: `1 … ${NODE_ID_MAX}`,
  }),
  dataDir: text(
    {
      scope: "node",
      about:
        "Where the broker keeps its log and state; relative to the folder of this file. One per node, never shared.",
    },
    PATH,
    "must be a path",
  ),
  client: address("Where clients connect (gRPC)."),
  peer: address("Where the other brokers connect (gRPC)."),
  admin: address("Metrics and health (HTTP)."),
  advertised: z
    .strictObject({
      client: address("What clients are told; default: `client`.").optional(),
      peer: address("What other brokers are told; default: `peer`.").optional(),
      admin: address("What is shown as metrics address; default: `admin`.").optional(),
    })
    .optional(),
});

const topicsSchema = z
  .strictObject({
    partitions: count({
      scope: "topic",
      default: 1,
      min: 1,
      max: PARTITIONS_PER_TOPIC_MAX,
      about: "Partitions of a new topic.",
    }),
    replicationFactor: count({
      scope: "topic",
      default: 3,
      min: 1,
      max: REPLICATION_FACTOR_MAX,
      about: "Replicas of each partition; a cluster with fewer nodes uses all of them.",
    }),
    acks: choice(["all", "leader", "none"], {
      scope: "topic",
      default: "all",
      about: "What a send waits for: a majority, the leader alone, nothing (docs/GUARANTEES.md).",
    }),
    flush: choice(["sync", "async"], {
      scope: "topic",
      default: "sync",
      about: "Whether an acknowledgement includes the disk (docs/GUARANTEES.md).",
    }),
  })
  .prefault({});

const raftSchema = z
  .strictObject({
    electionTimeout: duration({
      default: "1s",
      min: 100,
      max: 60_000,
      about:
        "A follower that hears nothing from its leader for this long (drawn from this to 1.5 times this) asks for an election. More than twice `raft.heartbeat`.",
    }),
    heartbeat: duration({
      default: "150ms",
      min: 10,
      max: 10_000,
      about: "Interval of a leader's heartbeats. At least `raft.tick`.",
    }),
    tick: duration({
      default: "50ms",
      min: 5,
      max: 1000,
      about: "Resolution of both; they are rounded up to it.",
    }),
  })
  .prefault({});

const storageSchema = z
  .strictObject({
    diskFreeMin: size({
      default: "256MiB",
      min: 0,
      max: 1024 ** 5,
      about:
        "Below this much free space messages are refused with DISK_FULL; acks and deletions still work.",
    }),
    trashRetention: duration({
      default: "7d",
      min: 0,
      max: 365 * 24 * 3_600_000,
      about:
        "How long the data of a replica that was removed from a node stays in its `trash` folder at least; counted anew when the broker starts.",
    }),
    scrubRate: size({
      default: "8MiB",
      min: 0,
      max: 1024 ** 4,
      about:
        "Bytes per second that a broker reads in the background to verify the checksums of stored messages; what is damaged is repaired from other replicas. `0B`: no verification.",
    }),
    scrubInterval: duration({
      default: "1d",
      min: 1000,
      max: 90 * 86_400_000,
      about:
        "A walk over everything that is stored begins this often, or when the one before has ended. The first one begins after a random part of it, at most 10 minutes after the start.",
    }),
  })
  .prefault({});

const limitsSchema = z
  .strictObject({
    memory: z
      .strictObject({
        budget: size({
          scope: "node",
          default: "auto",
          auto: true,
          min: MEMORY_BUDGET_MIN,
          max: MEMORY_BUDGET_MAX,
          about:
            "What a broker's process should need at most while clients overload it; it may exceed this by half for moments. `auto`: half of the container's or the machine's memory, 256 MiB to 4 GiB. It bounds requests, answers, read-ahead, records on their way, connections and streams; beyond: OVERLOADED with `memory.` and the purpose (docs/OPERATIONS.md).",
        }),
      })
      .prefault({}),
    connections: count({
      default: CONNECTIONS_MAX,
      min: 1,
      max: 100_000,
      about: "Client connections per broker. Beyond: OVERLOADED on their first call.",
    }),
    streamsPerConnection: count({
      default: STREAMS_PER_CONNECTION_MAX,
      min: 1,
      max: 65_536,
      about: "Streams per client connection. Beyond: OVERLOADED.",
    }),
    produceInflight: size({
      default: formatSize(PRODUCE_INFLIGHT_BYTES_MAX),
      min: 1024 ** 2,
      max: 1024 ** 3,
      about:
        "Bytes received on one produce stream and not yet answered. Beyond: the broker stops reading that stream.",
    }),
    parkedFetches: count({
      default: PARKED_FETCHES_MAX,
      min: 1,
      max: 1_000_000,
      about:
        "Readers that may wait for new messages, per broker: every open cursor of a fetch stream, whether it waits or not, and unary fetches while they wait. Beyond: OVERLOADED for that cursor or call.",
    }),
  })
  .prefault({});

const loggingSchema = z
  .strictObject({
    level: choice(["debug", "info", "warn", "error", "silent"], {
      default: "info",
      about: "Least severe level that is written.",
    }),
    file: text(
      {
        scope: "cluster",
        about:
          "JSON lines go here instead of standard output; relative to the folder of this file. `%n` becomes the node id.",
      },
      PATH,
      "must be a path",
    ).optional(),
  })
  .prefault({});

const configSchema = z.strictObject({
  cluster: text(
    {
      scope: "cluster",
      about: "Name of the cluster: letters, digits, `.`, `_` and `-`, up to 64.",
      range: "1 … 64 characters",
    },
    /^[A-Za-z0-9._-]{1,64}$/,
    "must be 1 to 64 letters, digits, dots, underscores or dashes",
  ),
  insecure: documented(z.boolean({ error: "must be true or false" }).prefault(false), {
    type: "true \\| false",
    scope: "cluster",
    about:
      "Accept clear text on addresses other than loopback. There is no TLS yet: only for networks that you trust.",
    default: "false",
  }),
  nodes: z
    .array(nodeSchema, { error: "must be a list of nodes" })
    .min(1, "at least one node is needed")
    .max(NODE_ID_MAX),
  topics: topicsSchema,
  raft: raftSchema,
  storage: storageSchema,
  limits: limitsSchema,
  logging: loggingSchema,
  shutdownTimeout: duration({
    default: "30s",
    min: 1000,
    max: 600_000,
    about:
      "After SIGTERM a broker hands leaderships over for this long at most, then closes. When it is not done 5 s after this time, its process ends anyway: give a supervisor 5 s more than this.",
  }),
});

/** The file's content with defaults and units resolved, before paths and relations. */
export type FileConfig = z.infer<typeof configSchema>;

export interface SchemaIssue {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** Keys at `path` that do not exist. */
  readonly unknownKeys: readonly string[];
}

/** Checks a parsed file against the schema; all issues at once. */
export function checkSchema(
  value: unknown,
):
  | { readonly config: FileConfig; readonly issues: readonly [] }
  | { readonly config: undefined; readonly issues: readonly SchemaIssue[] } {
  const result = configSchema.safeParse(value, { error: plainMessage });
  if (result.success) return { config: result.data, issues: [] };
  const issues = result.error.issues.map((issue) => ({
    path: issue.path.filter((part) => typeof part !== "symbol"),
    message: isMissing(value, issue.path) ? `is missing; it ${issue.message}` : issue.message,
    unknownKeys: issue.code === "unrecognized_keys" ? issue.keys : [],
  }));
  return { config: undefined, issues };
}

/** Every key with its documentation, in the order of the schema. */
export function configRows(): readonly ConfigRow[] {
  return [...rowsOf(configSchema, "", true)];
}

function isMissing(root: unknown, path: readonly PropertyKey[]): boolean {
  let at = root;
  for (const part of path) at = (at as Record<PropertyKey, unknown> | null | undefined)?.[part];
  return at === undefined;
}

/** Words for what zod reports in the language of programmers. */
function plainMessage(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      if (issue.expected === "object") return "must be a group of keys";
      return issue.expected === "int" || issue.expected === "number"
        ? "must be a whole number"
        : undefined;
    case "too_small":
      return `must be at least ${issue.minimum}`;
    case "too_big":
      return `must be at most ${issue.maximum}`;
    case "invalid_value":
      return `must be one of ${issue.values.map(String).join(", ")}`;
    default:
      return undefined;
  }
}

function* rowsOf(schema: z.core.$ZodType, key: string, required: boolean): Generator<ConfigRow> {
  const meta = META.get(schema as z.ZodType);
  if (meta !== undefined) {
    const isRequired = required && meta.default === undefined;
    yield { key, range: "", ...meta, default: meta.default, required: isRequired };
    return;
  }
  if (schema instanceof z.ZodOptional) yield* rowsOf(schema.def.innerType, key, false);
  else if (schema instanceof z.ZodPrefault) yield* rowsOf(schema.def.innerType, key, required);
  else if (schema instanceof z.ZodArray) yield* rowsOf(schema.def.element, `${key}[]`, required);
  else if (schema instanceof z.ZodObject) {
    for (const [name, child] of Object.entries(schema.def.shape)) {
      yield* rowsOf(child, key === "" ? name : `${key}.${name}`, required);
    }
  }
}
