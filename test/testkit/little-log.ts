// A little model of one topic: a log per partition, leaders that change, readers, and faults that cost exactly what the
// promise table allows. Its random histories are legal by construction. Used by random-histories.test.ts.
import { type Random, seededRandom } from "../../src/base/random.ts";
import { type DurabilityClass, type HistoryEvent, headerOf } from "../../src/testkit/index.ts";

interface Entry {
  readonly value: string;
  readonly key: string;
  readonly epoch: number;
  readonly isDurable: boolean;
  /** Infinite: only its leader has it. */
  committedMs: number;
}

interface Partition {
  readonly number: number;
  readonly entries: Entry[];
  /** Records before it were taken by retention. */
  start: number;
  epoch: number;
  leader: number;
  /** Where each reader goes on. */
  readonly positions: Map<string, number>;
}

/** A send under way, in the order of the calls. */
interface Pending {
  readonly value: string;
  readonly key: string;
  readonly partition: number;
  readonly durability: DurabilityClass;
  readonly sentMs: number;
}

/** An answer that has not arrived yet. */
interface Late {
  readonly value: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly duplicate: boolean;
}

const TOPIC = "t";
const NODES = [1, 2, 3];
const PRODUCERS = ["p", "q"];
const READERS = ["r", "s"];
/** Committed for longer: flushed. Less than the checker's window. */
const FLUSHED_MS = 100;
/** Committed for longer: every leader that answers shows it. Less than the checker's lease. */
const LEASE_MS = 3000;
const STEP_MS_MAX = 400;

export class LittleLog {
  readonly events: HistoryEvent[] = [];
  readonly #random: Random;
  readonly #flush: "sync" | "async";
  readonly #keepsAll: boolean;
  readonly #partitions: Partition[];
  readonly #pending = new Map<string, Pending[]>();
  readonly #late: Late[] = [];
  #nowMs = 0;
  #sent = 0;

  constructor(seed: number) {
    const random = seededRandom(seed);
    this.#random = random;
    this.#flush = random.next() < 0.5 ? "sync" : "async";
    this.#keepsAll = random.next() < 0.7;
    this.#partitions = Array.from({ length: random.integer(1, 4) }, (_, number) => {
      return { number, entries: [], start: 0, epoch: 1, leader: 1, positions: new Map() };
    });
    for (const producer of PRODUCERS) this.#pending.set(producer, []);
  }

  run(steps: number): this {
    const size = { partitions: this.#partitions.length, replicas: NODES.length };
    const flush = this.#flush;
    this.events.push(headerOf("little log"));
    this.#tell({ type: "topic", topic: TOPIC, ...size, flush, keepsAll: this.#keepsAll });
    for (let step = 0; step < steps; step += 1) {
      this.#nowMs += this.#random.next() * STEP_MS_MAX;
      this.#step();
    }
    this.#conclude();
    return this;
  }

  #step(): void {
    const dice = this.#random.next();
    if (dice < 0.3) this.#send();
    else if (dice < 0.6) this.#settle();
    else if (dice < 0.7) this.#answer();
    else if (dice < 0.85) this.#read();
    else if (dice < 0.88) this.#failOver(this.#any(this.#partitions));
    else if (dice < 0.9) this.#blackout();
    else if (dice < 0.93) this.#seek();
    else if (dice < 0.95) this.#bounds(this.#any(this.#partitions));
    else if (dice < 0.97) this.#retain();
    else this.#harmless();
  }

  #send(): void {
    const producer = this.#any(PRODUCERS);
    this.#sent += 1;
    const value = `v${this.#sent}`;
    const partition = this.#any(this.#partitions).number;
    const key = `${partition}-${this.#random.integer(0, 3)}`;
    const acks = this.#random.next() < 0.6 ? "all" : "leader";
    const isSync = this.#flush === "sync" || this.#random.next() < 0.3;
    const durability: DurabilityClass = `${acks}/${isSync ? "sync" : "async"}`;
    const send = { topic: TOPIC, producer, key, value, durability };
    this.#tell({ type: "send", ...send });
    const pending = { value, key, partition, durability, sentMs: this.#nowMs };
    this.#pending.get(producer)?.push(pending);
  }

  /** The oldest send of a producer is decided. */
  #settle(): void {
    const send = this.#pending.get(this.#any(PRODUCERS))?.shift();
    if (send === undefined) return;
    const { value } = send;
    const dice = this.#random.next();
    if (dice < 0.1) {
      this.#tell({ type: "fail", value, outcome: "not-applied", reason: "NOT_LEADER" });
    } else if (dice < 0.2) {
      this.#tell({ type: "fail", value, outcome: "unknown", reason: "DEADLINE" });
    } else {
      const late = this.#append(send);
      if (dice < 0.3) this.#tell({ type: "fail", value, outcome: "unknown", reason: "DEADLINE" });
      else if (dice < 0.5) this.#late.push(late);
      else this.#acknowledge(late);
    }
  }

  #append({ durability, key, partition: number, value }: Pending): Late {
    const partition = this.#partition(number);
    const isStrong = durability.startsWith("all");
    // What waits for a majority carries everything before it along.
    const isDurable = this.#flush === "sync" || durability === "all/sync";
    const { entries, epoch } = partition;
    const committedMs = Number.POSITIVE_INFINITY;
    entries.push({ value, key, epoch, isDurable, committedMs });
    if (isStrong) this.#commit(partition);
    const offset = entries.length - 1;
    const duplicate = this.#random.next() < 0.1;
    return { value, partition: number, offset, leaderEpoch: epoch, duplicate };
  }

  #commit({ entries }: Partition): void {
    for (const entry of entries) entry.committedMs = Math.min(entry.committedMs, this.#nowMs);
  }

  #answer(): void {
    const at = this.#random.integer(0, Math.max(1, this.#late.length));
    const [late] = this.#late.splice(at, 1);
    if (late !== undefined) this.#acknowledge(late);
  }

  #acknowledge({ duplicate, leaderEpoch, offset, partition, value }: Late): void {
    this.#tell({ type: "ack", value, partition, offset, leaderEpoch, duplicate });
  }

  #read(): void {
    const partition = this.#any(this.#partitions);
    const { number, positions, start } = partition;
    const reader = this.#any(READERS);
    const end = this.#end(partition);
    let from = positions.get(reader) ?? this.#random.integer(start, end + 1);
    if (from < start || from > end) from = this.#seekTo(partition, reader, start);
    const count = this.#random.integer(0, 5);
    const records = this.#records(partition, from, Math.min(end, from + count));
    const place = { reader, topic: TOPIC, partition: number };
    const next = from + records.length;
    const isStale = records.length === 0 && from < end;
    const missed = partition.entries[from]?.committedMs ?? Number.POSITIVE_INFINITY;
    // A leader that was deposed a moment ago may know no more.
    if (isStale && this.#nowMs - missed > LEASE_MS) return;
    positions.set(reader, next);
    if (this.#random.next() < 0.5 || records.length === 0) {
      this.#tell({ type: "poll", beganMs: this.#nowMs, ...place, from, next, records });
    } else for (const record of records) this.#tell({ type: "read", ...place, ...record });
  }

  #records(partition: Partition, from: number, to: number) {
    return partition.entries.slice(from, to).map(({ epoch: leaderEpoch, key, value }, at) => {
      return { offset: from + at, leaderEpoch, key, value };
    });
  }

  #seek(): void {
    const partition = this.#any(this.#partitions);
    const to = this.#random.integer(partition.start, this.#end(partition) + 1);
    this.#seekTo(partition, this.#any(READERS), to);
  }

  #seekTo({ number, positions }: Partition, reader: string, offset: number): number {
    this.#tell({ type: "seek", reader, topic: TOPIC, partition: number, offset });
    positions.set(reader, offset);
    return offset;
  }

  /** A new leader: what is not committed may be cut off. */
  #failOver(partition: Partition): void {
    const { entries } = partition;
    const node = partition.leader;
    const name = this.#any(["kill", "pause", "partition"]);
    this.#tell({ type: "fault", name, phase: "start", nodes: [node] });
    const uncommitted = entries.findIndex(({ committedMs }) => !Number.isFinite(committedMs));
    const isElsewhere = this.#random.next() < 0.7;
    // A leader that comes back has what it had.
    if (isElsewhere) partition.leader = this.#any(NODES.filter((other) => other !== node));
    if (isElsewhere && uncommitted >= 0) {
      entries.length = this.#random.integer(uncommitted, entries.length + 1);
    }
    partition.epoch += this.#random.integer(1, 3);
    const leads = { node: partition.leader, leaderEpoch: partition.epoch };
    this.#tell({ type: "leader", topic: TOPIC, partition: partition.number, ...leads });
    this.#tell({ type: "fault", name, phase: "stop", nodes: [node] });
  }

  /** All nodes lose their power: what was not on disk may be gone. */
  #blackout(): void {
    this.#tell({ type: "fault", name: "blackout", phase: "start", nodes: NODES });
    for (const partition of this.#partitions) {
      const { entries } = partition;
      let keep = entries.length;
      const isSafe = (entry: Entry): boolean =>
        Number.isFinite(entry.committedMs) &&
        (entry.isDurable || entry.committedMs < this.#nowMs - FLUSHED_MS);
      while (keep > 0 && !isSafe(entries[keep - 1] ?? entries[0] ?? NEVER)) keep -= 1;
      entries.length = this.#random.integer(keep, entries.length + 1);
      partition.epoch += 1;
      for (const [reader, position] of partition.positions) {
        if (position > this.#end(partition)) partition.positions.set(reader, this.#end(partition));
      }
    }
    this.#tell({ type: "fault", name: "blackout", phase: "stop", nodes: NODES });
    this.#nowMs += 1000;
  }

  #bounds(partition: Partition): void {
    const { epoch: leaderEpoch, number, start: logStartOffset } = partition;
    const ends = { leaderEpoch, logStartOffset, highWatermark: this.#end(partition) };
    this.#nowMs += 0.01;
    const beganMs = this.#nowMs;
    this.#tell({ type: "bounds", beganMs, topic: TOPIC, partition: number, ...ends });
  }

  #retain(): void {
    if (this.#keepsAll) return;
    const partition = this.#any(this.#partitions);
    partition.start = this.#random.integer(partition.start, this.#end(partition) + 1);
  }

  /** Things that nodes agree about. */
  #harmless(): void {
    const node = this.#any(NODES);
    const place = { topic: TOPIC, partition: 0 };
    this.#tell({ type: "digest", node, ...place, firstIndex: 1, lastIndex: 5, digest: "same" });
    this.#tell({ type: "metadata", node, index: 3, subject: "topic t", state: "same" });
    this.#tell({ type: "log", node, level: "warn", message: "slow" });
  }

  /** Late answers come, everything is committed, asked about and read from the start. */
  #conclude(): void {
    while (this.#late.length > 0) this.#answer();
    for (const partition of this.#partitions) {
      this.#commit(partition);
      this.#bounds(partition);
    }
    this.#outcomes();
    for (const partition of this.#partitions) this.#scan(partition);
  }

  /** About receipts: is it there, in that epoch? */
  #outcomes(): void {
    for (const event of [...this.events]) {
      if (event.type !== "ack" || this.#random.next() < 0.7) continue;
      const { leaderEpoch, offset, partition: number, value } = event;
      const partition = this.#partition(number);
      if (offset < partition.start) continue;
      const isThere = partition.entries[offset]?.epoch === leaderEpoch;
      const outcome = isThere ? "committed" : "lost";
      const place = { partition: number, offset, leaderEpoch };
      this.#tell({ type: "outcome", value, by: "position", outcome, ...place });
    }
  }

  #scan(partition: Partition): void {
    const { entries, number, start: from } = partition;
    const beganMs = this.#nowMs;
    const place = { reader: "final", topic: TOPIC, partition: number };
    for (const record of this.#records(partition, from, entries.length)) {
      this.#tell({ type: "read", ...place, ...record });
    }
    this.#tell({ type: "scan", beganMs, ...place, from, to: entries.length });
  }

  #end({ entries }: Partition): number {
    const open = entries.findIndex(({ committedMs }) => !Number.isFinite(committedMs));
    return open < 0 ? entries.length : open;
  }

  #partition(number: number): Partition {
    const partition = this.#partitions[number];
    if (partition === undefined) throw new Error(`no partition ${number}`);
    return partition;
  }

  #any<T>(items: readonly T[]): T {
    const item = items[this.#random.integer(0, items.length)];
    if (item === undefined) throw new Error("nothing to choose from");
    return item;
  }

  /** Each event a little later than the one before. */
  #tell(event: Untimed): void {
    this.#nowMs += 0.01;
    this.events.push({ ...event, atMs: this.#nowMs });
  }
}

const NEVER: Entry = { value: "", key: "", epoch: 0, isDurable: true, committedMs: 0 };

type Timed = Exclude<HistoryEvent, { readonly type: "history" }>;
/** Of each kind of event, all but the time. */
type Untimed = Timed extends infer E ? (E extends Timed ? Omit<E, "atMs"> : never) : never;
