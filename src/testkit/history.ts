// What a test run writes down: one event per operation, in the order in which the client saw them. A history can be
// saved as JSON lines and judged again later. Exported for users' own tests as part of flotilla/testkit.

/** What the acknowledgement waited for, e.g. "all/sync". */
export type DurabilityClass = "all/sync" | "all/async" | "leader/sync" | "leader/async" | "none";

/** A send began. `value` must be unique in the whole history. */
export interface SendInvoked {
  readonly type: "send";
  readonly atMs: number;
  /** Sequence of sends whose order is promised: one producer session. */
  readonly producer: string;
  readonly topic: string;
  readonly key: string | undefined;
  readonly value: string;
  readonly durability: DurabilityClass;
}

/** It was acknowledged. */
export interface SendAcknowledged {
  readonly type: "ack";
  readonly atMs: number;
  readonly value: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly duplicate: boolean;
}

/** It failed: "not-applied" is a promise that it is not in the log; "unknown" promises nothing. */
export interface SendFailed {
  readonly type: "fail";
  readonly atMs: number;
  readonly value: string;
  readonly outcome: "not-applied" | "unknown";
  readonly reason: string;
}

/** A reader saw a record. */
export interface RecordRead {
  readonly type: "read";
  readonly atMs: number;
  /** One pass of one reader over one partition; offsets must grow within it. */
  readonly reader: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly key: string | undefined;
  readonly value: string;
}

/** Something was done to the cluster. */
export interface FaultEvent {
  readonly type: "fault";
  readonly atMs: number;
  readonly name: string;
  readonly phase: "start" | "bit" | "stop";
  readonly nodes: readonly number[];
}

export type HistoryEvent = SendInvoked | SendAcknowledged | SendFailed | RecordRead | FaultEvent;

/** Collects events; `toJsonLines` is the saved form. */
export class History {
  readonly events: HistoryEvent[] = [];

  add(event: HistoryEvent): void {
    this.events.push(event);
  }

  toJsonLines(): string {
    return this.events.map((event) => `${JSON.stringify(event)}\n`).join("");
  }

  static fromJsonLines(text: string): History {
    const history = new History();
    for (const line of text.split("\n")) {
      if (line !== "") history.add(JSON.parse(line) as HistoryEvent);
    }
    return history;
  }
}
