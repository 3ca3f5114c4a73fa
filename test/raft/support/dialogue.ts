// The command language of the golden dialogues (test/raft/scenarios/*.txt): a group of cores in memory, driven line
// by line. Lines that begin with "> " are commands; the lines after it, indented by two blanks, are what it printed.
// `expect` prints "ok" or throws: a rewritten file cannot hide that a scenario lost its point.
//
//   cluster 1 2 3 [learners=4] [spare=5] [rule=durable|appended] [election=10] [heartbeat=2] [append=…] [window=…]
//           [windowBytes=…] [uncommitted=…] [tail=…] [kept=…] [news=by-tick] [recovering=2,3] [changes=joint]
//   log <node> <term> <term> …     before the first other use: preset, flushed entries (and the hard state's term)
//   hard <node> <term> [vote]      preset hard state
//   tick <node> [count] · campaign <node> · propose <node> <payload[:bytes]> … · read <node> <id> · flush <node>
//   members <node> 1 2 3 [learners=…] · transfer <node> <to> · unreachable <node> <leader> · rule <node> …
//   damaged <node> yes|no
//   take <node>                    takes and prints the output; storage work is queued
//   hard-done|write-done|flush-done|install-done|clear-done <node> [count] · apply <node> [count]
//   deliver [<from>-><to>] [kind] [count=n] · drop … · duplicate … · delay … (to the end of the queue) · queue
//   run [quiet] [except=2,3] [hold=<kind>] [noapply=2] [noflush=2] [noclear=2]
//                                  repeats take, completions, applies, deliveries until nothing is left to do
//   inject <kind> <from> <to> term=… …   a message out of nowhere: last=t/i pre transfer granted prev=t/i entries=t,t
//                                  commit=i match=i durable=i incarnation=n round=n recovering fence=i (for incarnation=)
//   image <from> <to> [at=index] · image-sent|image-failed <node> <to>
//   compact <node> <firstIndex> · cut <a> <b> · cut <a>-><b> · isolate <node> · heal
//   crash <node> [power] · restart <node> · status <node> · entries <node>
//   expect <node> key=value … (tail: oldest entry in memory) · expect-log <node> t/i …
import { assert, defined } from "../../../src/base/assert.ts";
import type { LogIndex } from "../../../src/model/positions.ts";
import type { Membership } from "../../../src/raft/messages.ts";
import {
  formatEntry,
  formatMembership,
  formatMessage,
  formatReady,
  formatStatus,
} from "./format.ts";
import { type AppliedState, Host, replica, type TestEntry, type TestMessage } from "./host.ts";

interface Arguments {
  readonly words: readonly string[];
  readonly named: ReadonlyMap<string, string>;
}

const STEPS_MAX = 10_000;

export class Dialogue {
  readonly #hosts = new Map<number, Host>();
  readonly #states = new Map<LogIndex, AppliedState>();
  readonly #cuts = new Set<string>();
  #queue: TestMessage[] = [];
  #lines: string[] = [];
  #random = 0;
  #appendBytesMax = 1000;

  /** Runs one command and returns what it printed. */
  execute(command: string): string[] {
    this.#lines = [];
    const [verb = "", ...rest] = command.trim().split(/\s+/);
    const words = rest.filter((word) => !word.includes("="));
    const pairs = rest.filter((word) => word.includes("="));
    const named = new Map(
      pairs.map((pair) => {
        const at = pair.indexOf("=");
        return [pair.slice(0, at), pair.slice(at + 1)] as const;
      }),
    );
    const action = COMMANDS.get(verb);
    if (action === undefined) throw new Error(`unknown command: ${command}`);
    action(this, { words, named });
    return this.#lines;
  }

  say(...lines: readonly string[]): void {
    this.#lines.push(...lines);
  }

  host(id: string | number | undefined): Host {
    return defined(this.#hosts.get(Number(id)), `node ${id}`);
  }

  /** The host of a running node; the first use starts it. */
  running(id: string | number | undefined): Host {
    const host = this.host(id);
    if (!host.isUp && host.incarnation === 0) host.start();
    return host;
  }

  setRandom(value: number): void {
    this.#random = value;
  }

  create({ words, named }: Arguments): void {
    this.#hosts.clear();
    this.#states.clear();
    this.#cuts.clear();
    this.#queue = [];
    const number = (name: string, otherwise: number): number =>
      Number(named.get(name) ?? otherwise);
    const voters = words.map((word) => replica(Number(word)));
    const learners = ids(named.get("learners"));
    const recovering = ids(named.get("recovering"));
    this.#appendBytesMax = number("append", 1000);
    const membership = { voters, learners };
    for (const id of [...voters, ...learners, ...ids(named.get("spare"))]) {
      const options = {
        commitRule: named.get("rule") === "appended" ? "appended" : "durable",
        changes: named.get("changes") === "joint" ? "joint" : "shortest",
        electionTicks: number("election", 10),
        heartbeatTicks: number("heartbeat", 2),
        random: () => this.#random,
        appendBytesMax: this.#appendBytesMax,
        appendInflightMax: number("window", 8),
        appendInflightBytesMax: number("windowBytes", 8000),
        uncommittedBytesMax: number("uncommitted", 10_000),
        tailBytesMax: number("tail", 100_000),
        commitNews: named.get("news") === "by-tick" ? "by-tick" : "at-once",
        tailBytesKept: number("kept", number("tail", 100_000)),
        recovering: recovering.includes(id),
      } as const;
      const stateAt = (index: LogIndex): AppliedState =>
        defined(this.#states.get(index), `state at ${index}`);
      const onApplied = (state: AppliedState): void => {
        const known = this.#states.get(state.index);
        assert(known === undefined || known.hash === state.hash, "replicas apply the same");
        this.#states.set(state.index, state);
      };
      this.#hosts.set(id, new Host({ id, options, membership, stateAt, onApplied }));
    }
  }

  /** Takes one node's output; prints it unless quiet. */
  take(host: Host, isQuiet: boolean): void {
    const ready = host.take();
    if (!isQuiet) this.say(...formatReady(host.id, ready));
    this.#queue.push(...ready.messages);
    for (const request of host.serveCatchUps(ready, this.#appendBytesMax)) {
      if (!isQuiet) this.say(`send ${formatMessage(request)}`);
      this.#queue.push(request);
    }
    for (const to of ready.snapshotsNeeded) this.#autoImages.push({ from: host.id, to });
  }

  #autoImages: { readonly from: number; readonly to: number }[] = [];

  sendImage(from: Host, to: number, at: LogIndex | undefined): void {
    if (at === undefined || at > from.image.index) from.compact(from.cached.firstIndex);
    let snapshot = from.snapshotMeta();
    if (at !== undefined) {
      const state = defined(this.#states.get(at), `state at ${at}`);
      const term = defined(from.core.termAt(at), "term of the image");
      snapshot = { ...snapshot, index: at, term, membership: state.membership };
    }
    const message = {
      kind: "install-snapshot",
      from: from.id,
      to: replica(to),
      term: from.core.term,
      snapshot,
    } as const;
    this.say(`send ${formatMessage(message)}`);
    this.#queue.push(message);
  }

  /** Does everything that is due, on all nodes but `except`, in a fixed order, until nothing is. */
  run({ words, named }: Arguments): void {
    const isQuiet = words[0] === "quiet";
    const except = ids(named.get("except"));
    const kept: Kept = {
      kind: named.get("hold"),
      unapplied: ids(named.get("noapply")),
      unflushed: ids(named.get("noflush")),
      uncleared: ids(named.get("noclear")),
    };
    for (let step = 0; step < STEPS_MAX; step += 1) {
      let isBusy = false;
      for (const host of this.#hosts.values()) {
        if (!host.isUp && host.incarnation === 0) host.start();
        if (!host.isUp || except.includes(host.id)) continue;
        if (host.core.hasReady()) {
          this.take(host, isQuiet);
          isBusy = true;
        }
        if (completeAll(host, kept)) isBusy = true;
      }
      for (const { from, to } of this.#autoImages.splice(0)) {
        const host = this.host(from);
        if (!host.isUp || host.core.role !== "leader") continue;
        const before = this.#lines.length;
        this.sendImage(host, to, undefined);
        if (isQuiet) this.#lines.length = before;
        host.core.snapshotSent(replica(to), host.image.index);
        isBusy = true;
      }
      if (this.#deliverDue(isQuiet, except, kept.kind)) isBusy = true;
      if (!isBusy) return;
    }
    throw new Error("the group does not come to rest");
  }

  #deliverDue(isQuiet: boolean, except: readonly number[], hold: string | undefined): boolean {
    const due = this.#queue;
    this.#queue = [];
    let isBusy = false;
    for (const message of due) {
      if (except.includes(message.to) || message.kind === hold) {
        this.#queue.push(message);
        continue;
      }
      this.#arrive(message, isQuiet);
      isBusy = true;
    }
    return isBusy;
  }

  #arrive(message: TestMessage, isQuiet: boolean): void {
    const host = this.#hosts.get(message.to);
    if (host === undefined) return;
    const running = this.running(message.to);
    if (!running.isUp || this.#cuts.has(`${message.from}->${message.to}`)) {
      if (!isQuiet) this.say(`lost ${formatMessage(message)}`);
      return;
    }
    running.core.step(message);
  }

  /** Messages of the queue that match "<from>-><to>", kind and count=; removed from it. */
  pick({ words, named }: Arguments): TestMessage[] {
    const link = words.find((word) => word.includes("->"));
    const kind = words.find((word) => !word.includes("->"));
    let left = Number(named.get("count") ?? Number.POSITIVE_INFINITY);
    const picked: TestMessage[] = [];
    this.#queue = this.#queue.filter((message) => {
      const isLink = link === undefined || link === `${message.from}->${message.to}`;
      if (left === 0 || !isLink || (kind !== undefined && kind !== message.kind)) return true;
      left -= 1;
      picked.push(message);
      return false;
    });
    return picked;
  }

  deliver(messages: readonly TestMessage[]): void {
    for (const message of messages) {
      this.say(`deliver ${formatMessage(message)}`);
      this.#arrive(message, false);
    }
  }

  /** Arrives whatever links are cut. */
  inject(message: TestMessage): void {
    this.say(`deliver ${formatMessage(message)}`);
    this.running(message.to).core.step(message);
  }

  enqueue(messages: readonly TestMessage[]): void {
    this.#queue.push(...messages);
  }

  get queued(): readonly TestMessage[] {
    return this.#queue;
  }

  cut(from: number, to: number): void {
    this.#cuts.add(`${from}->${to}`);
  }

  heal(): void {
    this.#cuts.clear();
  }

  get nodeIds(): number[] {
    return [...this.#hosts.keys()];
  }
}

/** What a run leaves undone. */
interface Kept {
  readonly kind: string | undefined;
  readonly unapplied: readonly number[];
  readonly unflushed: readonly number[];
  readonly uncleared: readonly number[];
}

function completeAll(host: Host, kept: Kept): boolean {
  let isBusy = false;
  while (host.finishHardState()) isBusy = true;
  while (host.finishInstall()) isBusy = true;
  while (host.finishWrite()) isBusy = true;
  if (!kept.unflushed.includes(host.id)) while (host.finishFlush()) isBusy = true;
  if (!kept.uncleared.includes(host.id)) while (host.finishRecovery()) isBusy = true;
  if (kept.unapplied.includes(host.id)) return isBusy;
  while (host.apply(Number.POSITIVE_INFINITY)) isBusy = true;
  return isBusy;
}

/** "term/index" as two numbers. */
function position(text: string | undefined): [number, number] {
  const [term = "0", index = "0"] = (text ?? "0/0").split("/");
  return [Number(term), Number(index)];
}

function entriesOf(text: string | undefined, prevIndex: number): TestEntry[] {
  const terms = text === undefined || text === "" ? [] : text.split(",").map(Number);
  return terms.map((term, at) => {
    const index = prevIndex + 1 + at;
    return { index, term, kind: "data", bytes: 10, handle: `e${term}.${index}` };
  });
}

/** A message as a test writes it. */
function injected({ words, named }: Arguments): TestMessage {
  const [kind, from, to, ...flags] = words;
  const number = (name: string): number => Number(named.get(name) ?? 0);
  const envelope = { from: replica(Number(from)), to: replica(Number(to)), term: number("term") };
  const pre = flags.includes("pre");
  const recovering = flags.includes("recovering");
  const [prevTerm, prevIndex] = position(named.get("prev"));
  const [lastTerm, lastIndex] = position(named.get("last"));
  const commitIndex = number("commit");
  const answer = {
    matchIndex: number("match"),
    durableIndex: number("durable"),
    incarnation: Number(named.get("incarnation") ?? 1),
  };
  const fenceIndex = number("fence");
  const fence = { fenceIndex, fenceIncarnation: fenceIndex === 0 ? 0 : answer.incarnation };
  const readRound = number("round");
  const transfer = flags.includes("transfer");
  const granted = flags.includes("granted");
  const entries = entriesOf(named.get("entries"), prevIndex);
  const known = { commitIndex, durableCommitIndex: commitIndex };
  const refusal = { rejectedPrevIndex: 0, hintIndex: 0, hintTerm: 0, recovering };
  switch (kind) {
    case "vote-request":
      return { kind, ...envelope, pre, transfer, lastIndex, lastTerm };
    case "vote-response":
      return { kind, ...envelope, pre, granted, recovering };
    case "append-request":
      return { kind, ...envelope, prevIndex, prevTerm, entries, ...known, flush: false };
    case "append-response":
      return { kind, ...envelope, ok: true, ...answer, ...refusal };
    case "heartbeat":
      return { kind, ...envelope, ...known, readRound, ...fence };
    case "heartbeat-response":
      return { kind, ...envelope, ...answer, readRound, recovering };
    case "timeout-now":
    case "not-member":
      return { kind, ...envelope };
    default:
      throw new Error(`cannot inject ${kind}`);
  }
}

function ids(text: string | undefined): ReturnType<typeof replica>[] {
  if (text === undefined || text === "") return [];
  return text.split(",").map((part) => replica(Number(part)));
}

function presetLog(dialogue: Dialogue, { words }: Arguments): void {
  const [id, ...terms] = words;
  const host = dialogue.host(id);
  assert(host.incarnation === 0, "a log is preset before the node starts");
  const entries: TestEntry[] = terms.map((term, at) => ({
    index: at + 1,
    term: Number(term),
    kind: "data",
    bytes: 10,
    handle: `e${term}.${at + 1}`,
  }));
  host.cached.perform({ io: 0, truncateFrom: undefined, append: entries });
  host.hard = { term: Math.max(host.hard.term, Number(terms.at(-1) ?? 0)), vote: 0 };
}

function campaign(dialogue: Dialogue, { words }: Arguments): void {
  const { core } = dialogue.running(words[0]);
  for (let tick = 0; tick < 100; tick += 1) {
    core.tick();
    if (core.role !== "follower" && core.hasReady()) return;
  }
  dialogue.say("does not campaign");
}

function repeat(dialogue: Dialogue, { words }: Arguments, step: (host: Host) => boolean): void {
  const host = dialogue.running(words[0]);
  const count = Number(words[1] ?? 1);
  for (let at = 0; at < count; at += 1) {
    if (!step(host)) dialogue.say("nothing to do");
  }
}

function propose(dialogue: Dialogue, { words }: Arguments): void {
  const [id, ...payloads] = words;
  const drafts = payloads.map((text) => {
    const [handle = "", bytes = "10"] = text.split(":");
    return { handle, bytes: Number(bytes) };
  });
  const refusal = dialogue.running(id).core.propose(drafts);
  if (refusal !== undefined) dialogue.say(refusal);
}

function proposeMembers(dialogue: Dialogue, { words, named }: Arguments): void {
  const [id, ...voters] = words;
  const target: Membership = {
    voters: voters.map((word) => replica(Number(word))),
    learners: ids(named.get("learners")),
  };
  const refusal = dialogue.running(id).core.proposeMembership(target);
  if (refusal !== undefined) dialogue.say(refusal);
}

function facts(host: Host): ReadonlyMap<string, string> {
  const status = host.core.status();
  const texts = new Map<string, string>([
    ["role", status.role],
    ["term", String(status.term)],
    ["leader", String(status.leaderId)],
    ["ready", String(status.isLeaderReady)],
    ["last", String(status.lastIndex)],
    ["written", String(status.writtenIndex)],
    ["flushed", String(status.flushedIndex)],
    ["commit", String(status.commitIndex)],
    ["durable", String(status.durableCommitIndex)],
    ["applied", String(status.appliedIndex)],
    ["vote", String(host.hard.vote)],
    ["recovering", String(status.recovering)],
    ["marked", String(host.recovering)],
    ["others", status.recoveringPeers.join(",")],
    ["first", String(host.cached.firstIndex)],
    ["members", formatMembership(status.membership).replaceAll(" ", ";")],
    ["transferring", String(status.transferringTo)],
    ["tail", String(tailFirst(host, status.lastIndex))],
  ]);
  for (const peer of status.progress) {
    texts.set(`${peer.replicaId}.state`, peer.state);
    texts.set(`${peer.replicaId}.match`, String(peer.matchIndex));
    texts.set(`${peer.replicaId}.durable`, String(peer.durableIndex));
    texts.set(`${peer.replicaId}.next`, String(peer.nextIndex));
  }
  return texts;
}

/** Index of the oldest entry in memory; last + 1 when there is none. */
function tailFirst(host: Host, last: LogIndex): LogIndex {
  let first = last + 1;
  while (host.core.tailEntry(first - 1) !== undefined) first -= 1;
  return first;
}

function expect(dialogue: Dialogue, { words, named }: Arguments): void {
  for (const id of words) {
    const known = facts(dialogue.running(id));
    for (const [name, wanted] of named) {
      const found = known.get(name);
      if (found !== wanted) throw new Error(`node ${id}: ${name} is ${found}, not ${wanted}`);
    }
  }
  dialogue.say("ok");
}

function expectLog(dialogue: Dialogue, { words }: Arguments): void {
  const [id, ...wanted] = words;
  const host = dialogue.running(id);
  const found = host.cached.entries.map((entry) => `${entry.term}/${entry.index}`);
  if (found.join(" ") !== wanted.join(" "))
    throw new Error(`node ${id}: log is ${found.join(" ")}`);
  dialogue.say("ok");
}

/** Fails unless the given text occurs (or, with "not", does not occur) among the queued messages. */
function expectQueue(dialogue: Dialogue, { words }: Arguments): void {
  const isWanted = words[0] !== "not";
  const text = (isWanted ? words : words.slice(1)).join(" ");
  const isFound = dialogue.queued.some((message) => formatMessage(message).includes(text));
  if (isFound !== isWanted) throw new Error(`queued message ${words.join(" ")}`);
  dialogue.say("ok");
}

type Command = (dialogue: Dialogue, given: Arguments) => void;

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["cluster", (d, a) => d.create(a)],
  ["random", (d, a) => d.setRandom(Number(a.words[0]))],
  ["log", presetLog],
  [
    "hard",
    (d, { words }) => {
      d.host(words[0]).hard = { term: Number(words[1]), vote: replica(Number(words[2] ?? 0)) };
    },
  ],
  [
    "tick",
    (d, { words }) => {
      for (let at = 0; at < Number(words[1] ?? 1); at += 1) d.running(words[0]).core.tick();
    },
  ],
  ["campaign", campaign],
  ["propose", propose],
  ["read", (d, { words }) => d.running(words[0]).core.readIndex(Number(words[1]))],
  ["flush", (d, { words }) => d.running(words[0]).core.requestFlush()],
  [
    "rule",
    (d, { words }) => d.running(words[0]).setRule(words[1] === "appended" ? "appended" : "durable"),
  ],
  ["damaged", (d, { words }) => d.running(words[0]).core.setDamaged(words[1] === "yes")],
  ["members", proposeMembers],
  [
    "transfer",
    (d, { words }) => {
      const refusal = d.running(words[0]).core.transferLeadership(replica(Number(words[1])));
      if (refusal !== undefined) d.say(refusal);
    },
  ],
  [
    "unreachable",
    (d, { words }) => d.running(words[0]).core.leaderUnreachable(replica(Number(words[1]))),
  ],
  ["take", (d, { words }) => d.take(d.running(words[0]), false)],
  ["hard-done", (d, a) => repeat(d, a, (host) => host.finishHardState())],
  ["write-done", (d, a) => repeat(d, a, (host) => host.finishWrite())],
  ["flush-done", (d, a) => repeat(d, a, (host) => host.finishFlush())],
  ["clear-done", (d, a) => repeat(d, a, (host) => host.finishRecovery())],
  ["install-done", (d, a) => repeat(d, a, (host) => host.finishInstall())],
  [
    "apply",
    (d, { words }) => {
      const count = Number(words[1] ?? Number.POSITIVE_INFINITY);
      if (!d.running(words[0]).apply(count)) d.say("nothing to do");
    },
  ],
  ["deliver", (d, a) => d.deliver(d.pick(a))],
  [
    "drop",
    (d, a) => {
      for (const message of d.pick(a)) d.say(`drop ${formatMessage(message)}`);
    },
  ],
  [
    "duplicate",
    (d, a) => {
      const picked = d.pick(a);
      d.enqueue([...picked, ...picked]);
    },
  ],
  ["delay", (d, a) => d.enqueue(d.pick(a))],
  ["queue", (d) => d.say(...d.queued.map(formatMessage))],
  ["run", (d, a) => d.run(a)],
  ["inject", (d, a) => d.inject(injected(a))],
  [
    "image",
    (d, { words, named }) => {
      const at = named.get("at");
      d.sendImage(d.running(words[0]), Number(words[1]), at === undefined ? at : Number(at));
    },
  ],
  [
    "image-sent",
    (d, { words }) => {
      const host = d.running(words[0]);
      host.core.snapshotSent(replica(Number(words[1])), host.image.index);
    },
  ],
  [
    "image-failed",
    (d, { words }) => d.running(words[0]).core.snapshotFailed(replica(Number(words[1]))),
  ],
  ["compact", (d, { words }) => d.running(words[0]).compact(Number(words[1]))],
  [
    "cut",
    (d, { words }) => {
      const [one = "", other] = words;
      const [from = "", to = ""] = one.split("->");
      if (other === undefined) d.cut(Number(from), Number(to));
      else {
        d.cut(Number(one), Number(other));
        d.cut(Number(other), Number(one));
      }
    },
  ],
  [
    "isolate",
    (d, { words }) => {
      for (const id of d.nodeIds) {
        d.cut(id, Number(words[0]));
        d.cut(Number(words[0]), id);
      }
    },
  ],
  ["heal", (d) => d.heal()],
  [
    "crash",
    (d, { words }) => d.running(words[0]).crash(words[1] === "power" ? "power" : "process"),
  ],
  ["restart", (d, { words }) => d.host(words[0]).start()],
  ["status", (d, { words }) => d.say(...words.flatMap((id) => statusOf(d, id)))],
  ["entries", (d, { words }) => d.say(...d.running(words[0]).cached.entries.map(formatEntry))],
  ["expect", expect],
  ["expect-log", expectLog],
  ["expect-queue", expectQueue],
]);

function statusOf(dialogue: Dialogue, id: string): string[] {
  const host = dialogue.running(id);
  return formatStatus(host.id, host.core.status());
}

/** Runs a whole scenario and returns the text as it should stand in its file. */
export function replay(text: string): string {
  const dialogue = new Dialogue();
  const lines: string[] = [];
  let number = 0;
  for (const line of text.split("\n")) {
    number += 1;
    if (line.startsWith("  ")) continue;
    lines.push(line);
    if (!line.startsWith("> ")) continue;
    try {
      lines.push(...dialogue.execute(line.slice(2)).map((printed) => `  ${printed}`));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Error(`line ${number}: ${line}: ${reason}\n${lines.slice(-30).join("\n")}`, {
        cause: error,
      });
    }
  }
  return lines.join("\n");
}
