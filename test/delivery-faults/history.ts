// The history of a run: what was sent and what was done to brokers (as in test/chaos), and what consumers were given.
import type { DeliveryRecorder, HistoryEvent } from "../../src/testkit/index.ts";
import type { Ledger } from "../chaos/ledger.ts";
import type { RunHistory } from "../chaos/run-history.ts";
import { saveHistory } from "../support/save-history.ts";

export class DeliveryHistory {
  readonly run: RunHistory;
  readonly recorder: DeliveryRecorder;
  readonly #notes: HistoryEvent[] = [];

  constructor(run: RunHistory, recorder: DeliveryRecorder) {
    this.run = run;
    this.recorder = recorder;
  }

  get ledger(): Ledger {
    return this.run.ledger;
  }

  get readCount(): number {
    return this.run.readCount;
  }

  note(event: HistoryEvent): void {
    this.#notes.push(event);
  }

  *events(): Generator<HistoryEvent> {
    yield* this.run.events();
    yield* this.recorder.events();
    yield* this.#notes;
  }

  save(file: string): void {
    saveHistory(file, this.events());
  }
}
