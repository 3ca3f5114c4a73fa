// Saves the history of a run that failed beside its logs, for `npm run check-history`.
import { join } from "node:path";

interface Keeper {
  readonly directory: string;
  readonly say: (text: string) => void;
}

export function keepHistory(
  { directory, say }: Keeper,
  history: { save(file: string): void },
): void {
  const file = join(directory, "history.jsonl");
  history.save(file);
  say(`judge it again: npm run check-history -- ${file}`);
}
