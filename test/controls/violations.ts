// Which check a violation comes from: violations are sentences for people, reports want the number of the invariant (see
// test/simulation/README.md) or of the anomaly (src/testkit/README.md). Pure.

interface CheckName {
  /** As controls expect it. */
  readonly id: string;
  readonly title: string;
  readonly pattern: RegExp;
}

/** The first one that fits counts. */
const CHECKS: readonly CheckName[] = [
  { id: "I1", title: "one leader per term", pattern: /^two leaders: / },
  { id: "I2", title: "terms never fall", pattern: /^(durable term fell|monotonic: term)/ },
  { id: "I3", title: "a vote never changes", pattern: /^vote changed: / },
  {
    id: "I4",
    title: "votes are durable before they are told",
    pattern: /^(told before durable: \S+ tells a vote|own vote not durable)/,
  },
  { id: "P1", title: "the term is durable before it is used", pattern: /^told before durable: / },
  { id: "I5", title: "flushed means flushed", pattern: /^ack before flush: / },
  { id: "I6", title: "acknowledged means written", pattern: /^false ack: / },
  { id: "I7", title: "log matching", pattern: /(^|: )log matching: |^replicas differ: / },
  { id: "I8", title: "a leader never cuts its log", pattern: /a leader cuts its log/ },
  { id: "I9", title: "leader completeness", pattern: /^leader completeness: / },
  { id: "I10", title: "a committed entry never changes", pattern: /^committed entry changed: / },
  { id: "I11", title: "positions are ordered and grow", pattern: /^(bounds|monotonic): / },
  {
    id: "I12",
    title: "nothing committed is cut off",
    pattern: /committed index \d+ was truncated/,
  },
  { id: "I13", title: "commit by the own term", pattern: /^commit of another term: / },
  { id: "I14", title: "quorums of the present members", pattern: /^members changed without a maj/ },
  { id: "I15", title: "a majority holds what is committed", pattern: /^committed without a majo/ },
  { id: "I16", title: "a majority of disks", pattern: /^durable commit without a majority/ },
  { id: "I17", title: "voters that remember", pattern: /^election rule: / },
  { id: "I18", title: "a mark stays until all is there", pattern: /^mark cleared: / },
  { id: "I19", title: "a leader believes no disk too much", pattern: /^progress: / },
  { id: "I22", title: "images before log starts", pattern: /: dropped up to index / },
  { id: "I23", title: "a leader never installs an image", pattern: /a leader installs an image/ },
  { id: "I24", title: "dense logs", pattern: /: (gap|offsets|term falls)\b|was not written$/ },
  { id: "I26", title: "readers see what is committed", pattern: /^read: / },
  { id: "reach", title: "what was read stays readable", pattern: /^follower-\S+ at \d+: / },
  { id: "I30", title: "success means committed", pattern: /^acknowledged( before flush)?: / },
  { id: "I32", title: "ready after the own entry", pattern: /^ready too early: / },
  { id: "served", title: "damage is never served", pattern: /^damage served: / },
  {
    id: "damage",
    title: "no disk is damaged without a fault",
    pattern: /^damage without a fault: /,
  },
  { id: "L1", title: "calm brings leaders", pattern: /^no leader after all faults/ },
  {
    id: "L2",
    title: "calm brings no elections",
    pattern: /campaigns although|keep moving although/,
  },
  { id: "L3", title: "a healthy leader stays", pattern: /^unseated: / },
  { id: "quorum", title: "who leads hears a majority", pattern: /^leads alone: / },
  { id: "L4", title: "everything that waits ends", pattern: /^clients still wait/ },
  { id: "L5", title: "replicas become equal", pattern: /^not converged: |deleted topic .* still/ },
  { id: "L6", title: "nobody stays in probe", pattern: /: the progress of .* stays in/ },
  { id: "L8", title: "few messages while idle", pattern: /messages per second although/ },
  { id: "state", title: "equal states", pattern: /^state machines differ: / },
  { id: "stored", title: "stored state is the state", pattern: /^stored state: / },
  { id: "write", title: "a last write succeeds", pattern: /^the last write to / },
  { id: "cursor", title: "cursors do not go back", pattern: /^a cursor went back: / },
  { id: "delivery", title: "equal delivery states", pattern: /^delivery states differ: / },
  { id: "rest", title: "subscriptions come to rest", pattern: /^not at rest/ },
  { id: "explain", title: "explanations are true", pattern: /^explained otherwise: / },
  { id: "consumer", title: "no consumer fails", pattern: /^the consumer \S+ failed/ },
  { id: "log", title: "no error in a broker's log", pattern: /logs an error: / },
  { id: "end", title: "no process ends by itself", pattern: /^n\d+ failed/ },
];

const OTHER = "other";
const TIME = /^\d+\.\d+ s: /;
const ANOMALY = /^([ADI]\d+|–) ([a-z-]+): /;
const SHOWN_MAX = 160;

/** @param violation a sentence of the simulator, with or without its time */
export function checkOf(violation: string): { readonly id: string; readonly title: string } {
  const text = violation.replace(TIME, "");
  const anomaly = ANOMALY.exec(text);
  if (anomaly !== null) return { id: anomaly[1] ?? OTHER, title: anomaly[2] ?? "" };
  const found = CHECKS.find(({ pattern }) => pattern.test(text));
  return found ?? { id: OTHER, title: "a check without a name" };
}

export function knownChecks(): ReadonlySet<string> {
  return new Set(CHECKS.map(({ id }) => id));
}

/** Its first line, short enough for a table, without time and number. */
export function shorten(violation: string): string {
  const [line = ""] = violation.replace(TIME, "").replace(ANOMALY, "").split("\n");
  return line.length <= SHOWN_MAX ? line : `${line.slice(0, SHOWN_MAX - 1)}…`;
}
