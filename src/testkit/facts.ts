// One pass over a history sorts it into tables: sends and reads in columns, everything rarer as lists of events with
// their numbers. The checks look at nothing else. Built by checker.ts.
import { DeliveryFacts } from "./delivery-facts.ts";
import type {
  BoundsSeen,
  FaultEvent,
  HistoryEvent,
  HistoryHeader,
  LeaderSeen,
  LogLine,
  MetadataSeen,
  OutcomeAnswered,
  PartitionScanned,
  Polled,
  PolledRecord,
  ProcessExit,
  ReaderSought,
  RecordRead,
  ReplicaDigest,
  ResourceSample,
  SendAcknowledged,
  SendFailed,
  SendInvoked,
  TopicDeclared,
} from "./events.ts";
import { Places } from "./names.ts";
import type { Numbered } from "./numbered.ts";
import { ReadTable } from "./read-table.ts";
import { SendTable } from "./send-table.ts";

/** What #sort leaves to #sortRare. */
type RareEvent = Exclude<
  HistoryEvent,
  | HistoryHeader
  | SendInvoked
  | SendAcknowledged
  | SendFailed
  | RecordRead
  | Polled
  | ReaderSought
  | OutcomeAnswered
>;

export class Facts {
  readonly places = new Places();
  readonly sends = new SendTable();
  readonly reads = new ReadTable();
  readonly delivery = new DeliveryFacts(this.places, this.sends);
  readonly topics = new Map<string, TopicDeclared>();
  readonly scans: Numbered<PartitionScanned>[] = [];
  readonly bounds: Numbered<BoundsSeen>[] = [];
  readonly outcomes: Numbered<OutcomeAnswered>[] = [];
  readonly faults: Numbered<FaultEvent>[] = [];
  readonly leaders: Numbered<LeaderSeen>[] = [];
  readonly digests: Numbered<ReplicaDigest>[] = [];
  readonly metadata: Numbered<MetadataSeen>[] = [];
  /** Of level error and fatal. */
  readonly badLines: Numbered<LogLine>[] = [];
  readonly exits: Numbered<ProcessExit>[] = [];
  readonly samples: Numbered<ResourceSample>[] = [];
  header: HistoryHeader | undefined;
  logLines = 0;
  events = 0;
  /** Time of the last event. */
  endMs = 0;

  add(event: HistoryEvent): void {
    const number = this.events;
    this.events += 1;
    if (event.type === "history") {
      this.header = event;
      return;
    }
    this.endMs = Math.max(this.endMs, event.atMs);
    this.#sort(event, number);
  }

  #sort(event: Exclude<HistoryEvent, HistoryHeader>, number: number): void {
    switch (event.type) {
      case "send":
        this.sends.add(event, number, this.places);
        break;
      case "ack":
        this.sends.acknowledge(event, number, this.places);
        break;
      case "fail":
        this.sends.fail(event, number);
        break;
      case "read":
        this.#read(event, event, number);
        break;
      case "poll":
        for (const record of event.records) this.#read(event, record, number);
        this.reads.addPoll(event, number, this.#placeOf(event));
        break;
      case "seek":
        this.reads.addSeek(event, number, this.#placeOf(event));
        break;
      case "outcome":
        this.#outcome(event, number);
        break;
      default:
        this.#sortRare(event, number);
    }
  }

  #sortRare(event: RareEvent, number: number): void {
    switch (event.type) {
      case "topic":
        this.topics.set(event.topic, event);
        for (let at = 0; at < event.partitions; at += 1) this.places.numberOf(event.topic, at);
        break;
      case "scan":
        this.#placeOf(event);
        this.scans.push({ event, number });
        break;
      case "bounds":
        this.#placeOf(event);
        this.bounds.push({ event, number });
        break;
      case "leader":
        this.#placeOf(event);
        this.leaders.push({ event, number });
        break;
      case "fault":
        this.faults.push({ event, number });
        break;
      case "digest":
        this.digests.push({ event, number });
        break;
      case "metadata":
        this.metadata.push({ event, number });
        break;
      case "log":
        this.logLines += 1;
        if (event.level === "error" || event.level === "fatal") {
          this.badLines.push({ event, number });
        }
        break;
      case "exit":
        this.exits.push({ event, number });
        break;
      case "sample":
        this.samples.push({ event, number });
        break;
      default:
        this.delivery.add(event, number);
    }
  }

  #read(by: RecordRead | Polled, record: PolledRecord, event: number): void {
    const { sends } = this;
    const row = sends.rowOf(record.value);
    const place = this.#placeOf(by);
    const reader = this.reads.readers.numberOf(by.reader);
    const { offset, leaderEpoch: epoch } = record;
    const { atMs } = by;
    const key = sends.keyOf(record.key);
    this.reads.add({ reader, place, offset, epoch, row, key, atMs, event });
    sends.saw(row, atMs, event);
  }

  #outcome(event: OutcomeAnswered, number: number): void {
    const { sends } = this;
    const row = sends.rowOf(event.value);
    const topic = sends.topics.textOf(sends.topic.at(row));
    if (sends.isSent(row)) this.#placeOf({ topic, partition: event.partition });
    if (event.outcome === "committed") sends.saw(row, event.atMs, number);
    this.outcomes.push({ event, number });
  }

  #placeOf({ topic, partition }: { readonly topic: string; readonly partition: number }): number {
    return this.places.numberOf(topic, partition);
  }
}

export function gatherFacts(events: Iterable<HistoryEvent>): Facts {
  const facts = new Facts();
  for (const event of events) facts.add(event);
  return facts;
}
