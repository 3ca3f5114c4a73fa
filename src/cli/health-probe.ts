// Asks a broker's admin listener how it is. Called by `cluster up` and `cluster status`.
import { formatHostPort, type HostPort } from "../config/cluster-config.ts";

export type NodeHealth =
  | { readonly state: "ready" }
  | { readonly state: "starting"; readonly reasons: readonly string[] }
  /** Nothing answers there. */
  | { readonly state: "down" };

const PROBE_TIMEOUT_MS = 1500;

export async function probeHealth(admin: HostPort): Promise<NodeHealth> {
  let response: Response;
  try {
    const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
    response = await fetch(`http://${formatHostPort(admin)}/health/ready`, { signal });
    if (response.ok) {
      await response.body?.cancel();
      return { state: "ready" };
    }
    return { state: "starting", reasons: reasonsOf(await response.json()) };
  } catch {
    return { state: "down" };
  }
}

function reasonsOf(body: unknown): readonly string[] {
  const reasons = (body as { readonly reasons?: unknown } | null)?.reasons;
  return Array.isArray(reasons) ? reasons.map(String) : [];
}
