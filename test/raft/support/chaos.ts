// A random run of a group of cores: every disk completion, delivery, drop, duplicate, reordering, crash, image and
// membership change is one step, drawn from one seed. The checker looks at everything after each step.
import { assert } from "../../../src/base/assert.ts";
import { type Random, seededRandom } from "../../../src/base/random.ts";
import type { Membership } from "../../../src/raft/messages.ts";
import { Checker } from "./checker.ts";
import { Host, replica, type TestMessage } from "./host.ts";
import { Losses } from "./losses.ts";

export interface ChaosOptions {
  readonly seed: number;
  readonly steps: number;
  /** "changing": each replica learns of another rule by itself, now and then. */
  readonly rule: "durable" | "appended" | "changing";
  readonly nodes: number;
  readonly voters: number;
  /** Probability of a fault per step, 0 … 1. */
  readonly faults: number;
  /** Rule "appended": so many replicas may lose one unflushed entry; 0: nobody loses power. */
  readonly lossesMax: number;
  /** Replicas find and repair damage now and then. */
  readonly hasDamage: boolean;
  /** A configuration keeps so many voters. */
  readonly votersMin: number;
}

const QUEUE_MAX = 400;
const APPEND_BYTES_MAX = 60;

export class Chaos {
  readonly #options: ChaosOptions;
  readonly #random: Random;
  readonly #hosts: Host[] = [];
  readonly #checker: Checker;
  readonly #cuts = new Set<string>();
  #queue: TestMessage[] = [];
  #images: { readonly from: Host; readonly to: number }[] = [];
  #payload = 0;
  #readId = 0;
  /** For each open read: commit known to anybody when it was asked. */
  readonly #reads = new Map<string, number>();
  readCount = 0;
  elections = 0;
  crashes = 0;
  installs = 0;
  recoveries = 0;
  readonly losses: Losses;

  constructor(options: ChaosOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    const membership: Membership = {
      voters: range(options.voters).map(replica),
      learners: [],
    };
    this.losses = new Losses(options.lossesMax);
    this.#checker = new Checker(this.#hosts, this.losses);
    for (const id of range(options.nodes)) {
      const host = new Host({
        id,
        membership,
        options: {
          commitRule: options.rule === "appended" ? "appended" : "durable",
          changes: options.rule === "durable" ? "shortest" : "joint",
          electionTicks: 10,
          heartbeatTicks: 2,
          random: () => this.#random.next(),
          appendBytesMax: APPEND_BYTES_MAX,
          appendInflightMax: 4,
          appendInflightBytesMax: 120,
          uncommittedBytesMax: 600,
          tailBytesMax: 100,
          tailBytesKept: 40,
          commitNews: this.#random.next() < 0.5 ? "at-once" : "by-tick",
          recovering: false,
        },
        stateAt: (index) => this.#checker.stateAt(index),
        onApplied: (state) => this.#checker.onApplied(state),
      });
      this.#hosts.push(host);
      host.start();
    }
  }

  /** For looking at a failed run. */
  hosts(): readonly Host[] {
    return this.#hosts;
  }

  get committedCount(): number {
    return this.#checker.committedCount;
  }

  /** The faulty part, then a calm part at whose end everybody must agree. */
  run(): void {
    for (let step = 0; step < this.#options.steps; step += 1) this.#step(this.#options.faults);
    this.#cuts.clear();
    for (const host of this.#hosts) if (!host.isUp) host.start();
    // Half of the damage is never repaired: what is applied is served by somebody.
    if (this.#options.hasDamage) {
      for (const host of this.#hosts) {
        const isDamaged = this.#random.next() < 0.5;
        host.core.setDamaged(isDamaged, { lastIndex: host.state.index, changes: [] });
      }
    }
    // Calm: everything is delivered and completed; time goes on slowly in comparison.
    for (let round = 0; round < 400; round += 1) {
      for (const host of this.#hosts) this.#guard(host, () => host.core.tick());
      for (let turn = 0; turn < 6; turn += 1) this.#drain();
      if (round === 200) this.#proposeSomewhere();
    }
    this.#checkConvergence();
  }

  #step(faults: number): void {
    const random = this.#random;
    const host = this.#pick(this.#hosts);
    if (host === undefined) return;
    if (random.next() < faults) {
      this.#fault(host);
      return;
    }
    if (!host.isUp) {
      // Where all may be needed, nobody stays away for long.
      if (this.#canLose && random.next() < 0.02) host.start();
      return;
    }
    if (this.#canLose && random.next() < 0.004 && host.atRisk(0).length > 0) {
      this.#crash(host);
      return;
    }
    if (this.#options.rule === "changing" && random.next() < 0.0005) {
      const rule = host.rule === "durable" ? "appended" : "durable";
      this.#guard(host, () => host.setRule(rule));
      return;
    }
    if (this.#options.hasDamage && random.next() < 0.01) {
      this.#damage(host);
      return;
    }
    const choice = random.next();
    if (choice < 0.48)
      for (let count = random.integer(1, 4); count > 0; count -= 1) this.#deliverOne();
    else if (choice < (this.#canLose ? 0.53 : 0.5)) this.#guard(host, () => host.core.tick());
    else if (choice < 0.62) this.#take(host);
    else if (choice < 0.88) this.#complete(host);
    else if (choice < 0.93) this.#propose(host);
    else if (choice < 0.95) this.#read(host);
    else if (choice < 0.96) this.#compact(host);
    else if (choice < 0.965) this.#changeMembers(host);
    else if (choice < 0.975) this.#guard(host, () => host.core.requestFlush());
    else if (choice < 0.98) {
      const to = replica(random.integer(1, this.#options.nodes + 1));
      this.#guard(host, () => void host.core.transferLeadership(to));
    } else if (choice < 0.985) {
      const { leaderId } = host.core;
      if (leaderId !== 0) this.#guard(host, () => host.core.leaderUnreachable(leaderId));
    } else this.#sendImage(random.next() < 0.8);
  }

  #damage(host: Host): void {
    const { core, state } = host;
    const lastIndex = this.#random.integer(1, core.lastIndex + 2);
    const changes = host.cached.entries
      .filter(({ index, kind }) => kind === "membership" && index > state.index)
      .map(({ index }) => index);
    const isDamaged = this.#random.next() < 0.5;
    this.#guard(host, () => core.setDamaged(isDamaged, { lastIndex, changes }));
  }

  #fault(host: Host): void {
    const random = this.#random;
    const choice = random.next();
    const other = random.integer(1, this.#options.nodes + 1);
    if (choice < (this.#canLose ? 0.01 : 0.05)) {
      if (host.isUp) this.#crash(host);
    } else if (choice < 0.3) {
      if (!host.isUp) host.start();
    } else if (choice < 0.34) this.#cuts.add(`${host.id}->${other}`);
    else if (choice < 0.4) this.#cuts.clear();
    else if (choice < 0.6) this.#queue.splice(random.integer(0, this.#queue.length + 1), 1);
    else if (choice < 0.8) {
      const message = this.#pick(this.#queue);
      if (message !== undefined) this.#queue.push(message);
    } else if (choice < 0.9 && host.isUp) {
      for (let tick = 0; tick < 8; tick += 1) this.#guard(host, () => host.core.tick());
    }
  }

  #crash(host: Host): void {
    const keep = this.#random.integer(0, 4);
    const isDurable = this.#options.rule === "durable";
    const isPower = this.#random.next() < 0.7 && (isDurable || this.#mayLose(host, keep));
    if (isPower && !isDurable) this.losses.note(host, keep);
    this.crashes += 1;
    for (const key of this.#reads.keys())
      if (key.startsWith(`${host.id}:`)) this.#reads.delete(key);
    host.crash(isPower ? "power" : "process", keep);
    this.#checker.check(host);
  }

  get #canLose(): boolean {
    return this.#options.lossesMax > 0;
  }

  /** Mostly while nobody else is recovering, so that the group often has a leader. */
  #mayLose(host: Host, keep: number): boolean {
    if (!this.#canLose || host.atRisk(keep).length === 0) return false;
    const others = this.#hosts.filter(({ recovering }) => recovering).length;
    return (others === 0 || this.#random.next() < 0.3) && this.losses.allows(host, keep);
  }

  /** Runs one call into a core and checks the replica afterwards. */
  #guard(host: Host, action: () => void): void {
    if (!host.isUp) return;
    action();
    this.#checker.check(host);
  }

  #take(host: Host): void {
    if (!host.isUp || !host.core.hasReady()) return;
    const ready = host.take();
    this.#checker.onReady(host, ready);
    for (const event of ready.events) if (event.kind === "became-leader") this.elections += 1;
    for (const message of ready.messages) this.#send(message);
    for (const request of host.serveCatchUps(ready, APPEND_BYTES_MAX)) this.#send(request);
    for (const to of ready.snapshotsNeeded) this.#images.push({ from: host, to });
    for (const { readId, index } of ready.reads) {
      const key = `${host.id}:${readId}`;
      const committed = this.#reads.get(key);
      assert(committed !== undefined && index >= committed, "I31 a read sees what was committed");
      this.#reads.delete(key);
      this.readCount += 1;
    }
    for (const readId of ready.readsFailed) this.#reads.delete(`${host.id}:${readId}`);
    this.#checker.check(host);
  }

  #send(message: TestMessage): void {
    if (this.#queue.length < QUEUE_MAX) this.#queue.push(message);
  }

  #complete(host: Host): void {
    const random = this.#random;
    const kind = random.integer(0, 6);
    this.#guard(host, () => {
      const isAll = random.next() < 0.5;
      if (kind === 0) while (host.finishHardState() && isAll);
      else if (kind === 1) while (host.finishWrite() && isAll);
      else if (kind === 2 && this.#isFlushDue()) while (host.finishFlush() && isAll);
      else if (kind === 3) host.apply(random.integer(1, 5));
      else if (kind === 4) this.#finishRecovery(host);
      else if (host.finishInstall()) this.installs += 1;
    });
  }

  /** Where it may be lost, much is unflushed for long. */
  #isFlushDue(): boolean {
    return !this.#canLose || this.#random.next() < 0.2;
  }

  #finishRecovery(host: Host): void {
    if (host.finishRecovery()) this.recoveries += 1;
  }

  #deliverOne(): void {
    // Mostly in order, sometimes any: reordering is part of every run.
    const isOrdered = this.#random.next() < 0.8;
    const at = isOrdered ? 0 : this.#random.integer(0, this.#queue.length);
    const [message] = this.#queue.splice(at, 1);
    if (message !== undefined) this.#arrive(message);
  }

  #arrive(message: TestMessage): void {
    const host = this.#hosts[message.to - 1];
    if (host === undefined || !host.isUp) return;
    if (this.#cuts.has(`${message.from}->${message.to}`)) return;
    this.#guard(host, () => {
      host.core.step(message);
      this.#checker.onDelivered(message);
    });
  }

  #propose(host: Host): void {
    const drafts = range(this.#random.integer(1, 4)).map(() => {
      this.#payload += 1;
      return { handle: `p${this.#payload}`, bytes: this.#random.integer(1, 40) };
    });
    this.#guard(host, () => void host.core.propose(drafts));
  }

  #proposeSomewhere(): void {
    for (const host of this.#hosts) if (host.core.role === "leader") this.#propose(host);
  }

  #read(host: Host): void {
    this.#readId += 1;
    const committed = Math.max(...this.#hosts.map((other) => (other.isUp ? other.commitIndex : 0)));
    this.#reads.set(`${host.id}:${this.#readId}`, committed);
    this.#guard(host, () => host.core.readIndex(this.#readId));
  }

  #compact(host: Host): void {
    const { cached, state } = host;
    // Only what is flushed, and covered by an image, may leave the log.
    const last = Math.min(state.index, host.durable.lastIndex) + 1;
    if (host.writeQueue.length + host.flushQueue.length > 0) return;
    if (host.installing !== undefined) return;
    if (last <= cached.firstIndex || state.index > cached.lastIndex) return;
    if (state.index > host.durable.lastIndex) return;
    host.compact(this.#random.integer(cached.firstIndex, last + 1));
    this.#checker.check(host);
  }

  #changeMembers(host: Host): void {
    const all = range(this.#options.nodes).filter(() => this.#random.next() < 0.7);
    const voters = all.filter(() => this.#random.next() < 0.8).map(replica);
    if (voters.length < this.#options.votersMin) return;
    const learners = all.map(replica).filter((id) => !voters.includes(id));
    this.#guard(host, () => void host.core.proposeMembership({ voters, learners }));
  }

  #sendImage(isSuccess: boolean): void {
    const due = this.#images.shift();
    if (due === undefined || !due.from.isUp || due.from.core.role !== "leader") return;
    const { from, to } = due;
    const { state, cached, durable } = from;
    const isClean = from.writeQueue.length === 0 && state.index <= durable.lastIndex;
    if (!isSuccess || !isClean || state.index > cached.lastIndex) {
      this.#guard(from, () => from.core.snapshotFailed(replica(to)));
      return;
    }
    from.compact(cached.firstIndex);
    const snapshot = from.snapshotMeta();
    const { term } = from.core;
    this.#send({ kind: "install-snapshot", from: from.id, to: replica(to), term, snapshot });
    this.#guard(from, () => from.core.snapshotSent(replica(to), snapshot.index));
  }

  #drain(): void {
    for (const host of this.#hosts) {
      this.#take(host);
      this.#guard(host, () => {
        while (host.finishHardState());
        while (host.finishInstall());
      });
      this.#guard(host, () => {
        while (host.finishWrite());
        while (host.finishFlush());
        this.#finishRecovery(host);
      });
      this.#guard(host, () => void host.apply(Number.POSITIVE_INFINITY));
      this.#take(host);
    }
    while (this.#images.length > 0) this.#sendImage(true);
    const due = this.#queue;
    this.#queue = [];
    for (const message of due) this.#arrive(message);
  }

  #checkConvergence(): void {
    const leaders = this.#hosts.filter((host) => host.core.role === "leader");
    const leader = leaders.sort((a, b) => b.core.term - a.core.term)[0];
    assert(leader !== undefined, "L1 a leader is elected in the calm");
    const status = leader.core.status();
    assert(status.isLeaderReady, "the leader is ready");
    assert(status.membership.outgoing === undefined, "L5 the joint configuration was left");
    assert(status.commitIndex === status.lastIndex, "L4 everything is committed");
    for (const peer of status.progress) {
      const host = this.#hosts[peer.replicaId - 1];
      assert(peer.state === "replicate", "L6 nobody stays in probe", { peer: peer.replicaId });
      assert(host?.state.index === status.lastIndex, "L5 everybody catches up", {
        peer: peer.replicaId,
      });
      assert(host.state.hash === leader.state.hash, "the same state");
      assert(!host.recovering, "L5 every mark is cleared", { peer: peer.replicaId });
    }
    assert(!leader.recovering, "L5 every mark is cleared", { leader: leader.id });
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items.length === 0 ? undefined : items[this.#random.integer(0, items.length)];
  }
}

/** 1 … count. */
function range(count: number): number[] {
  return Array.from({ length: count }, (_, at) => at + 1);
}
