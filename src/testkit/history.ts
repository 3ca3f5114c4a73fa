// Collects what a test run saw, in the order in which it saw it, and saves it as JSON lines (history-format.ts) that can
// be judged again later. Exported for users' own tests as part of flotilla/testkit.
import type { HistoryEvent, HistoryHeader } from "./events.ts";
import { encodeHistory, headerOf, readHistory } from "./history-format.ts";

export type * from "./delivery-events.ts";
export type * from "./events.ts";

/** Collects events; `toJsonLines` is the saved form. */
export class History {
  header: HistoryHeader;
  readonly events: HistoryEvent[] = [];

  constructor(header: HistoryHeader = headerOf("")) {
    this.header = header;
  }

  add(event: HistoryEvent): void {
    this.events.push(event);
  }

  /** The header and all events, for the checker and the saved form. */
  *lines(): Generator<HistoryEvent> {
    yield this.header;
    yield* this.events;
  }

  /** One line per event, the header before them. */
  toJsonLines(): string {
    return [...encodeHistory(this.lines())].join("");
  }

  /** @throws HistoryFormatError with the number of the line */
  static fromJsonLines(text: string): History {
    const history = new History();
    for (const event of readHistory(text.split("\n"))) {
      if (event.type === "history") history.header = event;
      else history.add(event);
    }
    return history;
  }
}
