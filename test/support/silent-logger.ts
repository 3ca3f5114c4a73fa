// A logger for tests: says nothing, but errors when REPLICA_TEST_LOG is set.
import type { Logger } from "../../src/replica/ports.ts";

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: (fields, message) => {
    if (process.env["REPLICA_TEST_LOG"] !== undefined)
      process.stderr.write(`${message} ${String(fields["error"])}\n`);
  },
};
