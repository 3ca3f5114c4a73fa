// Turns what the listeners tell of their calls into instruments of the registry.
import type { Instruments } from "../observe/metrics.ts";
import type { CallObserver } from "../rpc/call-observer.ts";
import type { OverloadLog } from "./overload-log.ts";
import { countOverload } from "./partition-recorder.ts";

export function createCallRecorder(instruments: Instruments, overloads: OverloadLog): CallObserver {
  const names = new Map<string, string>();
  /** By method: there are only so many. */
  const nameOf = (path: string): string => {
    let name = names.get(path);
    if (name === undefined) {
      name = shortName(path);
      names.set(path, name);
    }
    return name;
  };
  return {
    refused(method, error) {
      instruments.requests.with(nameOf(method), error.reason).add(1);
      countOverload(instruments, overloads, error);
    },
    started: (method) => instruments.streams.with(nameOf(method)).add(1),
    ended(method, error) {
      const name = nameOf(method);
      instruments.streams.with(name).add(-1);
      instruments.requests.with(name, error?.reason ?? "ok").add(1);
      if (error !== undefined) countOverload(instruments, overloads, error);
    },
  };
}

/** "/flotilla.v1.ProduceService/Publish" → "Produce/Publish". */
function shortName(path: string): string {
  return path.replace(/^\/.*\.(\w+?)(?:Service)?\//, "$1/");
}
