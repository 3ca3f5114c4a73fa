import type { Control } from "../control.ts";

export const flushNotAwaited: Control = {
  name: "flush-not-awaited",
  breaks: "A sync of the log is begun, and what it covers counts as flushed before it has ended.",
  expects: ["I5", "I15", "I16", "I30"],
  patch: [
    {
      file: "replica/log-flusher.ts",
      find: `await log.sync();
    metrics.observe`,
      replace: `void log.sync().catch(() => undefined);
    metrics.observe`,
    },
  ],
};
