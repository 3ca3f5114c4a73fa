// A process that simulates what it is told, one run after the other. Started by pool.ts.
import type { Job, JobAnswer } from "./pool.ts";
import { simulate } from "./simulate.ts";

process.on("message", (message) => {
  const { number, options, isStory } = message as Job;
  const onLine = isStory ? (line: string) => tell({ number, line }) : undefined;
  simulate({ ...options, onLine }).then(
    (result) => tell({ number, result }),
    (error: unknown) => tell({ number, failure: (error as Error).stack ?? String(error) }),
  );
});

function tell(answer: JobAnswer): void {
  process.send?.(answer);
}
