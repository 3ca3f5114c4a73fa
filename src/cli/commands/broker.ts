// `flotilla broker`: one broker in this process, until a signal or a failure ends it.
import { availableMemory } from "../../broker/process-memory.ts";
import type { RunningBroker } from "../../broker/start.ts";
import { memoryBudgetOf } from "../../config/memory.ts";
import { omitStacks } from "../../model/errors.ts";
import { type Context, configPath, type GlobalOptions } from "../context.ts";
import { EXIT } from "../exit-codes.ts";
import { CliError } from "../failure.ts";
import { letHeapGrow } from "../heap.ts";

export interface BrokerOptions extends GlobalOptions {
  readonly node: number;
}

export async function runBroker(options: BrokerOptions, context: Context): Promise<void> {
  const path = configPath(options, context.environment);
  const config = await context.loadConfig(path);
  omitStacks();
  // Before anything large is loaded.
  const onMemoryShort = letHeapGrow(memoryBudgetOf(config, availableMemory()));
  const { startBroker } = await import("../../broker/start.ts");
  const failure = await supervise(
    (onFailing) => startBroker(config, options.node, { onMemoryShort, onFailing }),
    context.signal,
    () => {
      setTimeout(() => process.exit(EXIT.FAILED), config.shutdownTimeoutMs + 5000).unref();
    },
  );
  if (failure !== undefined) {
    throw new CliError(
      EXIT.FAILED,
      `node ${options.node} stopped: ${failure.message}`,
      "its log has the details",
      {
        cause: failure,
      },
    );
  }
}

/**
 * Runs a broker until it has ended. @returns why, unless it was told to
 * @param armExit a broker that stops but cannot finish must not keep its supervisor waiting for ever
 */
export async function supervise(
  start: (onFailing: () => void) => Promise<RunningBroker>,
  signal: AbortSignal,
  armExit: () => void,
): Promise<Error | undefined> {
  let isArmed = false;
  const arm = (): void => {
    if (!isArmed) armExit();
    isArmed = true;
  };
  const broker = await start(arm);
  const stop = (): void => {
    void broker.close();
    arm();
  };
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  return broker.closed;
}
