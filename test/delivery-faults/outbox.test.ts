import { describe, expect, it } from "vitest";
import { ConsumerRecorder, DeliveryRecorder } from "../../src/testkit/index.ts";
import { Outbox } from "./outbox.ts";
import { isReport, type Report, replay } from "./wire.ts";

const MESSAGE = {
  ...{ topic: "t", partition: 1, offset: 7, attempt: 2, handedOut: 3 },
  token: { leaderEpoch: 4, deliveryNumber: 5 },
};

function work(scribe: ConsumerRecorder): void {
  const handled = scribe.begin(MESSAGE, "v", "k");
  scribe.end(handled, true);
  scribe.answer(scribe.ask(handled, "ack"), "confirmed");
  scribe.lose(handled, "deadline");
}

describe("outbox of a consumer", () => {
  it("what it tells is what the recorder would have written", async () => {
    const now = (): number => 9;
    const here = new DeliveryRecorder(now);
    work(new ConsumerRecorder(here, now, "s", "c"));
    const told: Report[] = [];
    const outbox = new Outbox((report, done) => {
      told.push(report);
      done();
    });
    work(new ConsumerRecorder(outbox.sink, now, "s", "c"));
    await outbox.flushed();
    const there = new DeliveryRecorder(() => 0);
    for (const report of told) {
      expect(isReport(report)).toBe(true);
      if (report.kind === "rows") for (const row of report.rows) replay(row, there);
    }
    expect([...there.events()]).toEqual([...here.events()]);
  });

  it("flushed: resolves when all that was written before is on its way, in one report", async () => {
    const told: Report[] = [];
    let taken: (() => void) | undefined;
    const outbox = new Outbox((report, done) => {
      told.push(report);
      taken = done;
    });
    const scribe = new ConsumerRecorder(outbox.sink, () => 0, "s", "c");
    scribe.begin(MESSAGE, "v", undefined);
    let isDone = false;
    const flushed = outbox.flushed().then(() => {
      isDone = true;
    });
    scribe.answer(1, "unknown");
    await new Promise((resolve) => setImmediate(resolve));
    expect(isDone).toBe(false);
    expect(told).toHaveLength(1);
    expect(told[0]?.kind === "rows" && told[0].rows.length).toBe(3);
    taken?.();
    await flushed;
    expect(isDone).toBe(true);
  });
});
