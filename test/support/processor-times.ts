// How the machine's processors spent their time, by Linux's own count. Measurements print it: what a hypervisor gave to other
// machines ("stolen"), or what was not idle before anything was measured, no program here can do anything about.
import { readFileSync } from "node:fs";

/** Of all processors together; the unit cancels out. */
export interface ProcessorTimes {
  readonly total: number;
  readonly idle: number;
  readonly stolen: number;
}

/** @param text of /proc/stat; undefined: it says nothing of processors */
export function parseProcessorTimes(text: string): ProcessorTimes | undefined {
  const fields = /^cpu +([\d ]+)$/m.exec(text)?.[1]?.trim().split(/ +/).map(Number);
  if (fields === undefined) return undefined;
  // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted within the first two.
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, soft = 0, stolen = 0] =
    fields;
  const total = user + nice + system + idle + waiting + irq + soft + stolen;
  return { total, idle: idle + waiting, stolen };
}

/** undefined: this system does not say. */
export function readProcessorTimes(): ProcessorTimes | undefined {
  try {
    return parseProcessorTimes(readFileSync("/proc/stat", "utf8"));
  } catch {
    return undefined;
  }
}

/** One line about the time between two looks. */
export function sharesBetween(
  from: ProcessorTimes | undefined,
  to: ProcessorTimes | undefined,
): string {
  const total = (to?.total ?? 0) - (from?.total ?? 0);
  if (from === undefined || to === undefined || total <= 0) return "processors: not known here";
  const percent = (part: number): string => `${((100 * part) / total).toFixed(1)} %`;
  return `processors: ${percent(to.idle - from.idle)} idle, ${percent(to.stolen - from.stolen)} taken by other machines`;
}
