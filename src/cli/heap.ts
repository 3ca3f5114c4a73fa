// How V8 collects in a process that moves much external memory (buffers) past a small heap. V8 counts buffers that were
// allocated since the last full collection towards the next one, whose limit follows from the heap's live size – 25 MiB in
// a broker – so that a broker under load would mark its whole heap several times a second to free nothing
// (docs/adr/0009). Letting the heap grow further between two full collections ends that; scavenges free the buffers.
// How far it may grow follows from the memory budget, and from what is left of it (docs/adr/0013).
import { setFlagsFromString } from "node:v8";

/** The heap may grow to this many percent above what was live at the last full collection. */
const HEAP_GROWING_PERCENT = 400;
/** As long as memory is short: garbage is collected in steps before the process has to be stopped for it. */
const SHORT_GROWING_PERCENT = 50;
/** V8 decides itself. */
const ENGINES_CHOICE = 0;
/** Below this budget the engine's own caution is worth its price. Bytes. */
const BUDGET_BYTES_MIN = 1024 * 1024 * 1024;

/**
 * For processes of our own that carry messages in bulk. A flag on the command line goes before.
 * @returns to be told when memory begins and ceases to be short; takes effect with the next full collection
 */
export function letHeapGrow(
  budgetBytes: number,
  execArgv: readonly string[] = process.execArgv,
  setFlag: (flag: string) => void = setFlagsFromString,
): (isShort: boolean) => void {
  if (execArgv.some((flag) => flag.startsWith("--heap-growing-percent"))) return () => undefined;
  const usual = budgetBytes < BUDGET_BYTES_MIN ? ENGINES_CHOICE : HEAP_GROWING_PERCENT;
  const set = (isShort: boolean): void => {
    setFlag(`--heap-growing-percent=${isShort ? SHORT_GROWING_PERCENT : usual}`);
  };
  set(false);
  return set;
}
