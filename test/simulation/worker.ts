// A process that simulates what it is told, one run after the other. Started by pool.ts.
import type { History } from "../../src/testkit/index.ts";
import { saveHistory } from "../support/save-history.ts";
import { historyFileOf, type Job, type JobAnswer } from "./jobs.ts";
import { simulate } from "./simulate.ts";

process.on("message", (message) => {
  const { number, options, isStory } = message as Job;
  const onLine = isStory ? (line: string) => tell({ number, line }) : undefined;
  const onHistory = (history: History): void => {
    saveHistory(historyFileOf(options.seed), history.lines());
  };
  simulate({ ...options, onLine, onHistory }).then(
    (result) => tell({ number, result }),
    (error: unknown) => tell({ number, failure: (error as Error).stack ?? String(error) }),
  );
});

function tell(answer: JobAnswer): void {
  process.send?.(answer);
}
