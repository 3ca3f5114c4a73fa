// A replica that knows of damaged entries leads last (ADR 0014): found as a leader, it hands over at once, and when all have
// refused, again after 10 s. So where nothing else is wrong and another voter is sound, it does not lead for long. Looked at
// several times a second by sim-cluster.ts.
import type { GroupId, NodeId } from "../../../src/model/ids.ts";
import type { Term } from "../../../src/model/positions.ts";

/** Of a leader with damaged entries, at one moment. */
export interface DamagedLeader {
  readonly node: NodeId;
  readonly group: GroupId;
  readonly term: Term;
  /** Some other voter could lead now, and nothing but damage is in its way. */
  readonly hasSoundVoter: boolean;
}

interface Seen {
  readonly term: Term;
  /** Since when another one could lead; undefined: none can. */
  readonly soundSinceMs: number | undefined;
}

/** From one round of requests to the next, and what the last of them takes. */
export const DAMAGED_LEADER_MS_MAX = 13_000;

export class DamageChecks {
  readonly #report: (problem: string) => void;
  #seen = new Map<string, Seen>();

  constructor(report: (problem: string) => void) {
    this.#report = report;
  }

  check(nowMs: number, damaged: readonly DamagedLeader[]): void {
    const seen = new Map<string, Seen>();
    for (const leader of damaged) {
      const key = `${leader.node}/${leader.group}`;
      const before = this.#seen.get(key);
      const isSame = before?.term === leader.term;
      const sinceMs = isSame ? (before?.soundSinceMs ?? nowMs) : nowMs;
      seen.set(key, {
        term: leader.term,
        soundSinceMs: leader.hasSoundVoter ? this.#judge(leader, sinceMs, nowMs) : undefined,
      });
    }
    this.#seen = seen;
  }

  /** @returns from when on it is counted */
  #judge({ group, node, term }: DamagedLeader, sinceMs: number, nowMs: number): number {
    if (nowMs - sinceMs <= DAMAGED_LEADER_MS_MAX) return sinceMs;
    const what = `n${node} leads group ${group} in term ${term} with damaged entries`;
    this.#report(`${what} for ${Math.round(nowMs - sinceMs)} ms, though another voter is sound`);
    return nowMs;
  }
}
