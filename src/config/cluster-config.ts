// The resolved configuration: what the broker and the command line work with. Units stand in the names; every
// default is filled in; nothing below this room reads the file or the environment. Types only.
import type { Acks, Flush } from "../model/durability.ts";
import type { NodeId } from "../model/ids.ts";

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** A listening or advertised address. */
export interface HostPort {
  /** Name or IP address, without brackets. */
  readonly host: string;
  /** 1 … 65535. */
  readonly port: number;
}

export interface NodeConfig {
  readonly id: NodeId;
  /** Absolute path. */
  readonly dataDir: string;
  /** Where clients connect. */
  readonly client: HostPort;
  /** Where other brokers connect. */
  readonly peer: HostPort;
  /** Metrics and health over HTTP. */
  readonly admin: HostPort;
  /** What others are told; equal to the listening addresses unless set. */
  readonly advertised: {
    readonly client: HostPort;
    readonly peer: HostPort;
    readonly admin: HostPort;
  };
}

/** Used where a topic is created without saying otherwise. */
export interface TopicDefaults {
  readonly partitions: number;
  /** Reduced to the number of nodes in smaller clusters. */
  readonly replicationFactor: number;
  readonly acks: Acks;
  readonly flush: Flush;
}

export interface RaftTiming {
  /** The wait for a leader is drawn from [this, 1.5 × this]. */
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly tickMs: number;
}

export interface StorageConfig {
  /** Below this much free space a broker refuses messages with DISK_FULL. */
  readonly diskFreeBytesMin: number;
  /** Data of removed replicas is kept this long. */
  readonly trashRetentionMs: number;
  /** Rate of the background verification of stored messages; 0: none. */
  readonly scrubBytesPerSecond: number;
  /** From the begin of one walk over everything to that of the next. */
  readonly scrubIntervalMs: number;
}

/** What happens at each limit stands in docs/CONFIG.md. */
export interface LimitsConfig {
  /** Undefined: worked out from the machine (`memoryBudgetOf`). */
  readonly memoryBudgetBytes: number | undefined;
  readonly connections: number;
  readonly streamsPerConnection: number;
  readonly produceInflightBytes: number;
  readonly parkedFetches: number;
}

export interface LoggingConfig {
  readonly level: LogLevel;
  /** Absolute path, or undefined for standard output. */
  readonly file: string | undefined;
}

export interface ClusterConfig {
  readonly cluster: string;
  /** Clear text on addresses other than loopback is accepted. */
  readonly insecure: boolean;
  /** Ordered as in the file; ids are unique. */
  readonly nodes: readonly NodeConfig[];
  readonly topics: TopicDefaults;
  readonly raft: RaftTiming;
  readonly storage: StorageConfig;
  readonly limits: LimitsConfig;
  readonly logging: LoggingConfig;
  /** How long a broker may take to hand over and close after SIGTERM. */
  readonly shutdownTimeoutMs: number;
}

/** "127.0.0.1:7101", with brackets around IPv6. */
export function formatHostPort(address: HostPort): string {
  return address.host.includes(":")
    ? `[${address.host}]:${address.port}`
    : `${address.host}:${address.port}`;
}
