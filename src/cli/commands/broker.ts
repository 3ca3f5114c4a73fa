// `flotilla broker`: one broker in this process, until a signal or a failure ends it.
import { availableMemory } from "../../broker/process-memory.ts";
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
  const broker = await startBroker(config, options.node, { onMemoryShort });
  const stop = (): void => {
    void broker.close();
    // A broker that cannot finish must not keep its supervisor waiting for ever.
    setTimeout(() => process.exit(EXIT.FAILED), config.shutdownTimeoutMs + 5000).unref();
  };
  if (context.signal.aborted) stop();
  else context.signal.addEventListener("abort", stop, { once: true });
  const failure = await broker.closed;
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
