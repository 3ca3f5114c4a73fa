// What a fault can cost, guessed from its name where the history does not say it. Used by fault-timeline.ts.
import type { FaultEffect, FaultEvent } from "./events.ts";

/** The first that fits counts: "power cut" is no network cut. */
const KNOWN: readonly (readonly [RegExp, FaultEffect])[] = [
  [/unsafe/, "unsafe"],
  [/power|blackout|double cut|kernel/, "power"],
  [/wipe|replace|emptied|lost disk/, "wipe"],
  [/kill|crash|bounce|abort/, "crash"],
  [/pause|freeze|stall/, "pause"],
  [/transfer|reset|clock|skew/, "blip"],
  [/partition|cut|isolat|bridge|ring/, "cut"],
  [/slow|latency|delay/, "slow"],
  [/disk|full|fsync|flush/, "disk"],
  [/restart|drain|stop/, "restart"],
];

export function effectOf({ effect, name }: FaultEvent): FaultEffect {
  return effect ?? KNOWN.find(([pattern]) => pattern.test(name))?.[1] ?? "other";
}
