import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { createDeliveryRecorder } from "../../src/broker/delivery-recorder.ts";
import { OverloadLog } from "../../src/broker/overload-log.ts";
import { createMetrics, SERIES_MAX } from "../../src/observe/metrics.ts";

const DEAD = "flotilla_delivery_dead_letters_total";

function setUp() {
  const { instruments, render } = createMetrics();
  const recorder = createDeliveryRecorder(instruments, new OverloadLog(systemClock));
  return { recorder, render };
}

describe("delivery recorder", () => {
  it("dead letters: counted by subscription and result, and gone with the subscription", async () => {
    const { recorder, render } = setUp();
    recorder.deadLetter("mail", "moved");
    recorder.deadLetter("mail", "moved");
    recorder.deadLetter("mail", "failed");
    recorder.deadLetter("bills", "moved");
    recorder.delivered("mail", 3, 1);
    const text = await render();
    expect(text).toContain(`${DEAD}{subscription="mail",result="moved"} 2`);
    expect(text).toContain(`${DEAD}{subscription="mail",result="failed"} 1`);
    recorder.forget("mail");
    const later = await render();
    expect(later).not.toContain('subscription="mail"');
    expect(later).toContain(`${DEAD}{subscription="bills",result="moved"} 1`);
  });

  it("dead letters: beyond the limit of series subscriptions share one", async () => {
    const { recorder, render } = setUp();
    for (let at = 0; at < SERIES_MAX + 5; at += 1) recorder.deadLetter(`s${at}`, "moved");
    expect(await render()).toContain(`${DEAD}{subscription="other",result="other"} 5`);
  });
});
