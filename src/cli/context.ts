// What every command gets: where to write, how to reach the cluster, which configuration. Tests build their own.
import type { ClusterConfig } from "../config/cluster-config.ts";
import type { ClientPort } from "./client-port.ts";
import { EXIT } from "./exit-codes.ts";
import { CliError } from "./failure.ts";
import { parseBootstrap, parseTimeout } from "./options.ts";
import type { OutputFormat, Terminal } from "./terminal.ts";

/** Options that every command understands. */
export interface GlobalOptions {
  readonly bootstrap?: string;
  readonly config?: string;
  readonly output: OutputFormat;
  readonly timeout: string;
  readonly debug?: boolean;
}

export interface Context {
  readonly terminal: Terminal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  connect(options: GlobalOptions): Promise<ClientPort>;
  loadConfig(path: string): Promise<ClusterConfig>;
}

export const CONFIG_FILE = "cluster.yaml";

export function configPath(options: GlobalOptions, environment: Context["environment"]): string {
  return options.config ?? environment["FLOTILLA_CONFIG"] ?? CONFIG_FILE;
}

/** --bootstrap, else FLOTILLA_BOOTSTRAP, else the nodes of cluster.yaml. */
export async function bootstrapOf(
  options: GlobalOptions,
  context: Pick<Context, "environment" | "loadConfig">,
): Promise<readonly string[]> {
  const given = options.bootstrap ?? context.environment["FLOTILLA_BOOTSTRAP"];
  if (given !== undefined && given !== "") return parseBootstrap(given);
  const path = configPath(options, context.environment);
  const isDefault =
    options.config === undefined && context.environment["FLOTILLA_CONFIG"] === undefined;
  try {
    const config = await context.loadConfig(path);
    const { formatHostPort } = await import("../config/cluster-config.ts");
    return config.nodes.map((node) => formatHostPort(node.advertised.client));
  } catch (error) {
    if (!isDefault || !isMissingFile(error)) throw error;
    throw new CliError(
      EXIT.USAGE,
      "no broker address is known",
      "name one with --bootstrap host:port or FLOTILLA_BOOTSTRAP, or run where cluster.yaml is",
    );
  }
}

/** Runs `use` with a client that is closed afterwards in any case. */
export async function withClient<T>(
  context: Context,
  options: GlobalOptions,
  use: (client: ClientPort) => Promise<T>,
): Promise<T> {
  const client = await context.connect(options);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

export function timeoutOf(options: GlobalOptions): number {
  return parseTimeout(options.timeout);
}

function isMissingFile(error: unknown): boolean {
  return (
    error instanceof Error && error.name === "ConfigError" && error.message.includes("no such file")
  );
}
