// A28 and A29: brokers do not complain, do not end by themselves, and give back what they used. Whatever is expected in a
// run stands in its rules, with a reason.
import type { ProcessExit, ResourceSample } from "../events.ts";
import type { Numbered } from "../numbered.ts";
import type { Rules } from "../rules.ts";
import { type Check, type Evidence, type Found, shown } from "./check.ts";

export const dirtyLogCheck: Check = {
  kinds: ["dirty-log"],
  run: ({ facts, promises, rules }, found) => {
    for (const { event, number } of facts.badLines) {
      if (rules.allowedLogLines.some(({ contains }) => event.message.includes(contains))) continue;
      found("dirty-log", () => ({
        message: `node ${event.node} logged ${event.level}: ${shown(event.message)}`,
        value: event.message,
        events: [number],
      }));
    }
    for (const { event, number } of facts.exits) {
      if (promises.timeline.mayEnd(event.node, event.atMs)) continue;
      found("dirty-log", () => ({
        message: `node ${event.node} ended with ${endOf(event)}, and no fault ended it`,
        events: [number],
      }));
    }
    return facts.logLines + facts.exits.length;
  },
};

function endOf({ code, signal }: ProcessExit): string {
  return signal === undefined ? `code ${code ?? "unknown"}` : `signal ${signal}`;
}

type Sample = Numbered<ResourceSample>;

/** What one resource of one node was at most before the load, and at least when it was idle. */
interface Use {
  before: Sample | undefined;
  idle: Sample | undefined;
}

export const resourceCheck: Check = {
  kinds: ["resource-leak"],
  run: (evidence, found) => {
    let compared = 0;
    for (const [name, use] of usesOf(evidence)) {
      if (use.before === undefined || use.idle === undefined) continue;
      compared += 1;
      judge(evidence.rules, name, use.before, use.idle, found);
    }
    return compared;
  },
};

function usesOf({ facts }: Evidence): Map<string, Use> {
  const uses = new Map<string, Use>();
  for (const sample of facts.samples) {
    const { node, phase, values } = sample.event;
    for (const [resource, value] of Object.entries(values)) {
      const name = `${node}|${resource}`;
      const use = uses.get(name) ?? { before: undefined, idle: undefined };
      uses.set(name, use);
      const known = phase === "baseline" ? use.before : use.idle;
      const knownValue = known?.event.values[resource];
      if (phase === "baseline" && (knownValue === undefined || value > knownValue)) {
        use.before = sample;
      }
      if (phase === "idle" && (knownValue === undefined || value < knownValue)) use.idle = sample;
    }
  }
  return uses;
}

function judge(rules: Rules, name: string, before: Sample, idle: Sample, found: Found): void {
  const resource = name.slice(name.indexOf("|") + 1);
  const was = before.event.values[resource] ?? 0;
  const is = idle.event.values[resource] ?? 0;
  const least = resource.endsWith("Bytes") ? rules.leakBytesMin : rules.leakCountMin;
  if (is <= Math.max(was * rules.leakFactor, was + least)) return;
  found("resource-leak", () => ({
    message: `node ${idle.event.node} still uses ${is} ${resource} when it is idle; it was ${was} before the load`,
    value: resource,
    events: [before.number, idle.number],
  }));
}
