// Is this node fine? Four questions, each answered with reasons in words. Pure: suppliers give the checks, the broker
// builds the list, admin-http and grpc health ask. Liveness never depends on other nodes – else a supervisor would
// kill the survivors of a lost quorum.

/** pressure: is it free of overload? A broker that refuses some clients for good reasons is live and ready all the same. */
export type HealthAspect = "live" | "ready" | "safe-to-stop" | "pressure";
export const HEALTH_ASPECTS: readonly HealthAspect[] = [
  "live",
  "ready",
  "safe-to-stop",
  "pressure",
];

export interface HealthCheck {
  /** Short and stable, e.g. "quorum". */
  readonly name: string;
  /** Which questions it answers. */
  readonly aspects: readonly HealthAspect[];
  /** Why it is not fine, in words for an operator; undefined when it is. Fast, no I/O. */
  readonly check: () => string | undefined;
}

export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  /** Empty when ok. */
  readonly reason: string;
}

export interface AspectHealth {
  readonly ok: boolean;
  /** Why not, in words. */
  readonly reasons: readonly string[];
  /** Every check that was asked. */
  readonly checks: readonly CheckResult[];
}

export type HealthReport = Readonly<Record<HealthAspect, AspectHealth>>;

/** Runs every check once. A check that throws counts as failed: it must not hide a problem. */
export function evaluateHealth(checks: readonly HealthCheck[]): HealthReport {
  const results = checks.map((check) => ({ aspects: check.aspects, result: run(check) }));
  const answer = (aspect: HealthAspect): AspectHealth => {
    const asked = results
      .filter((entry) => entry.aspects.includes(aspect))
      .map((entry) => entry.result);
    const failed = asked.filter((result) => !result.ok);
    return {
      ok: failed.length === 0,
      reasons: failed.map((result) => `${result.name}: ${result.reason}`),
      checks: asked,
    };
  };
  return {
    live: answer("live"),
    ready: answer("ready"),
    "safe-to-stop": answer("safe-to-stop"),
    pressure: answer("pressure"),
  };
}

function run(check: HealthCheck): CheckResult {
  try {
    const reason = check.check();
    return { name: check.name, ok: reason === undefined, reason: reason ?? "" };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { name: check.name, ok: false, reason: `the check itself failed: ${message}` };
  }
}
