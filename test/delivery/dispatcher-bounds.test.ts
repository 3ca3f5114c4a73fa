import { describe, expect, it } from "vitest";
import { OUTSTANDING_MAX } from "../../src/delivery/dispatch-core.ts";
import { KEY_BYTES_MAX } from "../../src/delivery/order-table.ts";
import { Harness, offsetsOf } from "./dispatch-support.ts";

describe("dispatcher: what a leader remembers", () => {
  it("keys of what is out: beyond 16 MiB nothing new goes out until some are settled", () => {
    const h = new Harness("keyed");
    const width = 4096;
    const most = KEY_BYTES_MAX / width;
    const key = (at: number): string => `${at}`.padStart(width, "k");
    for (let base = 0; base < most + 200; base += 100) {
      h.append(Array.from({ length: 100 }, (_, at) => key(base + at)));
    }
    h.consumer(1, 100_000);
    const out = h.turn();
    expect(offsetsOf(out)).toHaveLength(most);
    expect(h.pump()).toEqual([]);
    const [first] = out;
    h.settle(1, "ack", first?.number ?? 0);
    expect(offsetsOf(h.turn())).toHaveLength(100);
    for (const { number } of out.slice(1)) h.settle(1, "ack", number);
    expect(offsetsOf(h.turn()).at(-1)).toBe(h.endOffset - 1);
  });

  it("messages that are out: at the limit silent consumers get none either", () => {
    const h = new Harness("shared");
    // The last batch is larger than what may go out: its rest is at hand.
    for (let at = 0; at <= OUTSTANDING_MAX; at += 999) h.append(999);
    h.consumer(1, OUTSTANDING_MAX);
    h.consumer(2, 1);
    h.setSilent(2, true);
    expect(offsetsOf(h.pump())).toHaveLength(OUTSTANDING_MAX);
  });

  it("how often something went out is forgotten with what retention dropped and a filter settled", () => {
    const h = new Harness("shared");
    h.append(4);
    h.consumer(1);
    h.pump();
    h.settle(1, "release", 1, [[0, 2]]);
    h.dispatcher.drain(1);
    expect(h.dispatcher.explain(0, h.nowMs).handedOut).toBe(1);
    h.dropBelow(1);
    expect(h.dispatcher.explain(0, h.nowMs).handedOut).toBe(0);
    expect(h.dispatcher.explain(1, h.nowMs).handedOut).toBe(1);
    h.isUnwanted = (offset) => offset === 1;
    h.configure({ filter: "another" });
    h.consumer(2);
    h.pump();
    h.pass(1000);
    h.turn();
    expect(h.state.settled.isSettled(1)).toBe(true);
    expect(h.dispatcher.explain(1, h.nowMs).handedOut).toBe(0);
    // Dropped while it is out: that it comes back need not be remembered.
    h.dropBelow(3);
    h.settle(1, "release", 1, [[2, 4]]);
    expect(h.dispatcher.explain(2, h.nowMs).handedOut).toBe(0);
    expect(h.dispatcher.explain(3, h.nowMs).handedOut).toBe(1);
  });
});
