// Rules that no single key can break: unique nodes, addresses and folders, clear text only where it is accepted,
// timings that fit each other. Pure. Called by parse-config after the schema accepted every key.
import { formatHostPort, type HostPort } from "./cluster-config.ts";
import { raftTicks } from "./raft-ticks.ts";
import type { FileConfig } from "./schema.ts";
import { formatDuration } from "./units.ts";

export interface RelationIssue {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

const LISTENERS = ["client", "peer", "admin"] as const;

/** @param resolvePath makes a data directory's path absolute and free of "..". */
export function checkRelations(
  config: FileConfig,
  resolvePath: (path: string) => string,
): readonly RelationIssue[] {
  return [
    ...duplicateIds(config),
    ...duplicateAddresses(config),
    ...sharedDirectories(config, resolvePath),
    ...clearText(config),
    ...timings(config),
  ];
}

/** True for addresses that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || host === "::" || host === "*";
}

function* duplicateIds(config: FileConfig): Generator<RelationIssue> {
  const seen = new Map<number, number>();
  for (const [position, node] of config.nodes.entries()) {
    const first = seen.get(node.id);
    if (first === undefined) seen.set(node.id, position);
    else
      yield {
        path: ["nodes", position, "id"],
        message: `id ${node.id} is taken by nodes[${first}]`,
      };
  }
}

function* duplicateAddresses(config: FileConfig): Generator<RelationIssue> {
  const seen: { readonly address: HostPort; readonly name: string }[] = [];
  for (const [position, node] of config.nodes.entries()) {
    for (const listener of LISTENERS) {
      const address = node[listener];
      const other = seen.find((candidate) => collide(candidate.address, address));
      if (other !== undefined) {
        const message = `${formatHostPort(address)} is taken by ${other.name}`;
        yield { path: ["nodes", position, listener], message };
      }
      seen.push({ address, name: `nodes[${position}].${listener}` });
    }
  }
}

function collide(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port) return false;
  if (isWildcard(a.host) || isWildcard(b.host)) return true;
  return a.host.toLowerCase() === b.host.toLowerCase();
}

function* sharedDirectories(
  config: FileConfig,
  resolvePath: (path: string) => string,
): Generator<RelationIssue> {
  const seen: { readonly path: string; readonly name: string }[] = [];
  for (const [position, node] of config.nodes.entries()) {
    const path = resolvePath(node.dataDir);
    const other = seen.find(
      (candidate) =>
        candidate.path === path ||
        path.startsWith(`${candidate.path}/`) ||
        candidate.path.startsWith(`${path}/`),
    );
    if (other !== undefined) {
      const relation = other.path === path ? "is" : "overlaps";
      const message = `${node.dataDir} ${relation} the folder of ${other.name}; every node needs its own`;
      yield { path: ["nodes", position, "dataDir"], message };
    }
    seen.push({ path, name: `nodes[${position}]` });
  }
}

function* clearText(config: FileConfig): Generator<RelationIssue> {
  if (config.insecure) return;
  for (const [position, node] of config.nodes.entries()) {
    for (const listener of LISTENERS) {
      const { host } = node[listener];
      if (isLoopback(host)) continue;
      const message = `${host} can be reached from other machines, and all traffic would be clear text; listen on 127.0.0.1, or accept that with "insecure: true"`;
      yield { path: ["nodes", position, listener], message };
    }
  }
}

function* timings(config: FileConfig): Generator<RelationIssue> {
  const { electionTimeout, heartbeat, tick } = config.raft;
  const { electionTicks, heartbeatTicks } = raftTicks({
    electionTimeoutMs: electionTimeout,
    heartbeatMs: heartbeat,
    tickMs: tick,
  });
  if (heartbeatTicks * 2 >= electionTicks) {
    const rounded = `${formatDuration(heartbeatTicks * tick)} of ${formatDuration(electionTicks * tick)}`;
    const message = `${formatDuration(heartbeat)} must be less than half of raft.electionTimeout (${formatDuration(electionTimeout)}), or a single late heartbeat starts an election; in ticks of ${formatDuration(tick)} they are ${rounded}`;
    yield { path: ["raft", "heartbeat"], message };
  }
  if (tick > heartbeat) {
    const message = `${formatDuration(tick)} must not exceed raft.heartbeat (${formatDuration(heartbeat)})`;
    yield { path: ["raft", "tick"], message };
  }
}
