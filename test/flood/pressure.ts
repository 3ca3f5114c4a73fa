// What the brokers themselves say while they are attacked: their health pages every second, their counters at the end.
const LOOK_MS = 1000;
const TIMEOUT_MS = 5000;

export class Pressure {
  /** Kind of reason, without its figures → how often it was given. */
  readonly reasons = new Map<string, number>();
  unanswered = 0;
  readonly #admins: readonly string[];
  readonly #timer: NodeJS.Timeout;
  #looking: Promise<unknown> = Promise.resolve();

  constructor(admins: readonly string[]) {
    this.#admins = admins;
    this.#timer = setInterval(() => {
      this.#looking = Promise.all(admins.map((admin) => this.#look(admin)));
    }, LOOK_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** Limit → refusals of all brokers. */
  async refusals(): Promise<Map<string, number>> {
    const sums = new Map<string, number>();
    for (const admin of this.#admins) {
      const text = await page(admin, "metrics");
      for (const [, limit, count] of (text ?? "").matchAll(OVERLOADS)) {
        if (limit === undefined) continue;
        sums.set(limit, (sums.get(limit) ?? 0) + Number(count));
      }
    }
    return sums;
  }

  async #look(admin: string): Promise<void> {
    const text = await page(admin, "health/pressure");
    if (text === undefined) {
      this.unanswered += 1;
      return;
    }
    const body: unknown = JSON.parse(text);
    for (const reason of reasonsOf(body)) {
      for (const kind of kindsOf(reason)) this.reasons.set(kind, (this.reasons.get(kind) ?? 0) + 1);
    }
  }
}

const OVERLOADS = /^flotilla_rpc_overloads_total\{limit="([^"]+)"\} (\d+)/gm;

/** Undefined: it did not answer. */
export async function page(admin: string, path: string): Promise<string | undefined> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await fetch(`http://${admin}/${path}`, { signal });
    return await answer.text();
  } catch {
    return undefined;
  }
}

function reasonsOf(body: unknown): string[] {
  const { reasons } = body as { readonly reasons?: unknown };
  return Array.isArray(reasons) ? reasons.map(String) : [];
}

/** "memory: send holds 60 of 64 MiB, …" → "memory: send holds"; "overload: … by limit: a 1, b 2" → one per limit. */
function kindsOf(reason: string): string[] {
  const [name = "", rest = ""] = reason.split(/: (.*)/s);
  const list = rest.includes("by limit: ") ? rest.slice(rest.indexOf("by limit: ") + 10) : rest;
  return list
    .split(", ")
    .map((part) => `${name}: ${part.replace(/ [\d.]+( of [\d.]+ MiB)?$/, "")}`);
}
