import { describe, expect, it } from "vitest";
import type { ClusterConfig } from "../../src/config/cluster-config.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import type { Environment } from "../../src/config/environment.ts";
import { memoryBudgetOf } from "../../src/config/memory.ts";
import { parseConfig } from "../../src/config/parse-config.ts";

const NODES = `cluster: test
nodes:
  - { id: 1, dataDir: d/1, client: "127.0.0.1:7101", peer: "127.0.0.1:7201", admin: "127.0.0.1:7301" }
  - { id: 2, dataDir: d/2, client: "localhost:7102", peer: "[::1]:7202", admin: "127.0.0.1:7302" }
`;

function parse(text: string, environment: Environment = {}): ClusterConfig {
  const resolvePath = (path: string): string => (path.startsWith("/") ? path : `/home/${path}`);
  return parseConfig({ text, fileName: "cluster.yaml", environment, resolvePath });
}

function problems(text: string, environment: Environment = {}): string[] {
  try {
    parse(text, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split("\n");
    throw error;
  }
  return [];
}

describe("parse-config: accepted", () => {
  it("defaults: a file with nodes only is complete", () => {
    const config = parse(NODES);
    expect(config.raft).toEqual({ electionTimeoutMs: 1000, heartbeatMs: 150, tickMs: 50 });
    expect(config.topics).toEqual({
      partitions: 1,
      replicationFactor: 3,
      acks: "all",
      flush: "sync",
    });
    expect(config.nodes[0]?.dataDir).toBe("/home/d/1");
    expect(config.nodes[1]?.peer).toEqual({ host: "::1", port: 7202 });
    expect(config.nodes[1]?.advertised.client).toEqual({ host: "localhost", port: 7102 });
    expect(config.insecure).toBe(false);
  });

  it("result: is frozen at every depth", () => {
    const config = parse(NODES);
    expect(Object.isFrozen(config.nodes[0]?.client)).toBe(true);
    expect(Object.isFrozen(config.limits)).toBe(true);
  });

  it("advertised: replaces single addresses", () => {
    const text = NODES.replace(
      'admin: "127.0.0.1:7301" }',
      'admin: "127.0.0.1:7301", advertised: { client: "broker-1:9000" } }',
    );
    const node = parse(text).nodes[0];
    expect(node?.advertised.client).toEqual({ host: "broker-1", port: 9000 });
    expect(node?.advertised.peer).toEqual(node?.peer);
  });

  it("memory budget: auto leaves it to the machine, a size is taken, too little is refused", () => {
    expect(parse(NODES).limits.memoryBudgetBytes).toBeUndefined();
    const given = parse(`${NODES}limits: { memory: { budget: 512MiB } }\n`);
    expect(given.limits.memoryBudgetBytes).toBe(512 * 1024 * 1024);
    expect(memoryBudgetOf(given, 1)).toBe(512 * 1024 * 1024);
    expect(memoryBudgetOf(parse(NODES), 2 * 1024 ** 3)).toBe(1024 ** 3);
    const variable = parse(NODES, { FLOTILLA_LIMITS__MEMORY__BUDGET: "1GiB" });
    expect(variable.limits.memoryBudgetBytes).toBe(1024 ** 3);
    expect(problems(`${NODES}limits: { memory: { budget: 100MiB } }\n`)).toEqual([
      "cluster.yaml:5:21: limits.memory.budget: 100MiB is outside 256MiB … 1TiB",
    ]);
  });

  it("aliases: one without an anchor, and too many, are problems of the file", () => {
    expect(problems("cluster: *missing\nnodes: []\n")).toEqual([expect.stringContaining("alias")]);
  });

  it("clear text: other addresses are accepted with insecure: true", () => {
    const config = parse(`${NODES.replace("127.0.0.1:7101", "0.0.0.0:7101")}insecure: true\n`);
    expect(config.nodes[0]?.client.host).toBe("0.0.0.0");
  });
});

describe("parse-config: refused", () => {
  it("unknown key: names line, column, path and the nearest key", () => {
    expect(problems(`${NODES}storage:\n  diskFreMin: 1MiB\n`)).toEqual([
      'cluster.yaml:6:3: storage.diskFreMin: unknown key, did you mean "diskFreeMin"?',
    ]);
  });

  it("all problems come at once, each at its own place", () => {
    const text = `${NODES}topics: { acks: most, partitions: 0 }\nraft:\n  tick: 50\nfoo: 1\n`;
    expect(problems(text)).toEqual([
      "cluster.yaml:5:23: topics.partitions: must be at least 1",
      "cluster.yaml:5:11: topics.acks: must be one of all, leader, none",
      "cluster.yaml:7:3: raft.tick: 50 has no unit; write a duration such as 100ms or 7d",
      expect.stringMatching(/^cluster\.yaml:8:1: foo: unknown key; known here: cluster, insecure/),
    ]);
  });

  it("missing keys: are reported at the group that lacks them", () => {
    expect(problems("cluster: a\nnodes:\n  - id: 1\n    dataDir: x\n")).toEqual([
      "cluster.yaml:3:5: nodes[0].client: is missing; it must be host:port, for example 127.0.0.1:7101",
      "cluster.yaml:3:5: nodes[0].peer: is missing; it must be host:port, for example 127.0.0.1:7101",
      "cluster.yaml:3:5: nodes[0].admin: is missing; it must be host:port, for example 127.0.0.1:7101",
    ]);
    expect(problems("nodes: []\n")).toEqual([
      "cluster.yaml:1:1: cluster: is missing; it must be 1 to 64 letters, digits, dots, underscores or dashes",
      "cluster.yaml:1:1: nodes: at least one node is needed",
    ]);
  });

  it("YAML errors: carry their place (duplicate key, broken structure)", () => {
    expect(problems("cluster: a\ncluster: b\n")).toEqual([
      "cluster.yaml:2:1: Map keys must be unique",
    ]);
    expect(problems("cluster: [a\n")[0]).toMatch(/^cluster\.yaml:\d+:\d+: /);
  });

  it.each(["", "- a\n", "text\n"])("shape: %j is not a configuration", (text) => {
    expect(problems(text)[0]).toMatch(/^cluster\.yaml:1:1: the file must be a group of keys/);
  });

  it("duplicates: ids, addresses and folders", () => {
    const second = NODES.replace("id: 2", "id: 1")
      .replace("localhost:7102", "127.0.0.1:7301")
      .replace("d/2", "d/1/x");
    expect(problems(second)).toEqual([
      "cluster.yaml:4:7: nodes[1].id: id 1 is taken by nodes[0]",
      "cluster.yaml:4:30: nodes[1].client: 127.0.0.1:7301 is taken by nodes[0].admin",
      "cluster.yaml:4:14: nodes[1].dataDir: d/1/x overlaps the folder of nodes[0]; every node needs its own",
    ]);
  });

  it("clear text: an address that others can reach needs insecure: true", () => {
    expect(problems(NODES.replace("127.0.0.1:7301", "10.0.0.5:7301"))).toEqual([
      expect.stringMatching(
        /^cluster\.yaml:3:\d+: nodes\[0\]\.admin: 10\.0\.0\.5 can be reached .*"insecure: true"$/,
      ),
    ]);
  });

  it("relations: heartbeat below half of the election timeout, tick not above the heartbeat", () => {
    expect(
      problems(`${NODES}raft: { electionTimeout: 300ms, heartbeat: 150ms, tick: 200ms }\n`),
    ).toEqual([
      expect.stringContaining(
        "raft.heartbeat: 150ms must be less than half of raft.electionTimeout (300ms)",
      ),
      expect.stringContaining("raft.tick: 200ms must not exceed raft.heartbeat (150ms)"),
    ]);
  });

  it("relations: the same in ticks, to which both are rounded up", () => {
    expect(
      problems(`${NODES}raft: { electionTimeout: 300ms, heartbeat: 110ms, tick: 100ms }\n`),
    ).toEqual([expect.stringContaining("in ticks of 100ms they are 200ms of 300ms")]);
    expect(
      problems(`${NODES}raft: { electionTimeout: 301ms, heartbeat: 100ms, tick: 100ms }\n`),
    ).toEqual([]);
  });
});

describe("parse-config: environment", () => {
  it("override: a variable replaces a key, also of one node, also in a missing group", () => {
    const config = parse(NODES, {
      FLOTILLA_RAFT__ELECTION_TIMEOUT: "3s",
      FLOTILLA_NODES__2__DATA_DIR: "/data",
      FLOTILLA_TOPICS__PARTITIONS: "12",
      FLOTILLA_INSECURE: "true",
      FLOTILLA_BOOTSTRAP: "ignored here",
      OTHER__THING: "ignored",
    });
    expect(config.raft.electionTimeoutMs).toBe(3000);
    expect(config.nodes[1]?.dataDir).toBe("/data");
    expect(config.topics.partitions).toBe(12);
    expect(config.insecure).toBe(true);
  });

  it("override: a bad value is reported by the variable's name", () => {
    expect(problems(NODES, { FLOTILLA_RAFT__TICK: "fast" })).toEqual([
      'environment FLOTILLA_RAFT__TICK: raft.tick: "fast" is not a duration; write for example 100ms or 7d',
    ]);
  });

  it("override: an unknown name with a path in it is refused with a suggestion", () => {
    expect(problems(NODES, { FLOTILLA_RAFT__TICKS: "1s" })).toEqual([
      "environment FLOTILLA_RAFT__TICKS: no such key, did you mean FLOTILLA_RAFT__TICK?",
    ]);
  });
});
