// What the SDK knows of one topic: partitions, their leaders, who owns which slots, and the settings that concern senders.
// Leaders are learnt from metadata, which may lag, and from hints; the highest leader epoch wins, so nobody is sent back
// to an older leader. Written by the metadata cache and by hints; read by producers and readers.
import type { Acks, Flush } from "../model/durability.ts";
import { slotTable } from "../model/slots.ts";
import { parseTopicSettings } from "../model/topic-settings.ts";
import type { TopicInfo } from "../rpc/generated/flotilla-v1.ts";

export interface Leader {
  readonly endpoint: string;
  readonly epoch: number;
}

interface PartitionRoute {
  /** Undefined: none known. */
  endpoint: string | undefined;
  /** The highest one heard of, also while no leader is known. */
  epoch: number;
}

export class TopicRoute {
  readonly name: string;
  readonly topicId: string;
  layoutEpoch = 0;
  /** Slot → partition. */
  slots: Int32Array = new Int32Array(0);
  acks: Acks = "all";
  flush: Flush = "sync";
  messageBytesMax: number = Number.MAX_SAFE_INTEGER;
  /** The topic was deleted, or another one has its name now. */
  isGone = false;
  /** Producers and readers that go by it: it is not forgotten meanwhile. */
  holders = 0;
  readonly #partitions: PartitionRoute[] = [];

  constructor(name: string, topicId: string) {
    this.name = name;
    this.topicId = topicId;
  }

  get partitionCount(): number {
    return this.#partitions.length;
  }

  /** Of some partition no leader is known. */
  get isLeaderless(): boolean {
    return this.#partitions.some(({ endpoint }) => endpoint === undefined);
  }

  leaderOf(partition: number): Leader | undefined {
    const route = this.#partitions[partition];
    if (route?.endpoint === undefined) return undefined;
    return { endpoint: route.endpoint, epoch: route.epoch };
  }

  epochOf(partition: number): number {
    return this.#partitions[partition]?.epoch ?? 0;
  }

  /** @param endpoints of the nodes, by id */
  update(info: TopicInfo, endpoints: ReadonlyMap<number, string>): void {
    for (const { partition, leaderId, leaderEpoch } of info.partitions) {
      const endpoint = leaderId === 0 ? undefined : endpoints.get(leaderId);
      this.#learn(partition, endpoint, leaderEpoch);
    }
    if (info.layoutEpoch <= this.layoutEpoch) return;
    this.layoutEpoch = info.layoutEpoch;
    const ranges = info.partitions.map(({ slotFrom, slotTo }) =>
      slotFrom.map((from, i) => ({ from, to: slotTo[i] ?? from })),
    );
    this.slots = slotTable(ranges);
  }

  /** Settings may change at any time, without a number that says which is newer. */
  updateSettings(settings: Readonly<Record<string, string>>): void {
    const parsed = parsedSettings(settings);
    if (parsed === undefined) return;
    this.acks = parsed.acks;
    this.flush = parsed.flush;
    this.messageBytesMax = parsed.messageBytesMax;
  }

  /** A broker named the leader. @returns false when the hint is older than what is known, and was not taken */
  hint(partition: number, endpoint: string, epoch: number): boolean {
    const route = this.#partitions[partition];
    if (route === undefined || epoch < route.epoch) return false;
    route.endpoint = endpoint;
    route.epoch = epoch;
    return true;
  }

  /** This endpoint does not lead the partition (any more): do not go there until somebody says so again. */
  disown(partition: number, endpoint: string): void {
    const route = this.#partitions[partition];
    if (route !== undefined && route.endpoint === endpoint) route.endpoint = undefined;
  }

  #learn(partition: number, endpoint: string | undefined, epoch: number): void {
    if (partition < 0) return;
    while (this.#partitions.length <= partition) {
      this.#partitions.push({ endpoint: undefined, epoch: 0 });
    }
    const route = this.#partitions[partition];
    if (route === undefined || epoch < route.epoch) return;
    if (endpoint === undefined && epoch === route.epoch) return;
    route.endpoint = endpoint;
    route.epoch = epoch;
  }
}

/** A newer broker may have settings that are not known here: those are passed over. */
function parsedSettings(
  settings: Readonly<Record<string, string>>,
): ReturnType<typeof parseTopicSettings> | undefined {
  const known: Record<string, string> = {};
  for (const name of ["acks", "flush", "message.bytes.max"]) {
    const value = settings[name];
    if (value !== undefined) known[name] = value;
  }
  try {
    return parseTopicSettings(known);
  } catch {
    return undefined;
  }
}
