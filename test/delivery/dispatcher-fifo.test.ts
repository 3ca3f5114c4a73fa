import { describe, expect, it } from "vitest";
import { Harness, offsetsOf, shown } from "./dispatch-support.ts";

describe("dispatcher, fifo", () => {
  it("messages without a key are one key", () => {
    const h = new Harness("fifo");
    h.append([undefined, "a", undefined, "a", undefined]);
    h.consumer(1);
    expect(shown(h.pump())).toEqual(["1: 0-1"]);
    h.settle(1, "ack", 1, [[0, 1]]);
    expect(shown(h.turn())).toEqual(["1: 2"]);
    expect(h.dispatcher.explain(4, h.nowMs).fate).toEqual({
      kind: "waiting",
      behindOffset: 2,
      key: undefined,
    });
  });

  it("without a consumer nobody knows what comes before a message, with a key or without one", () => {
    const h = new Harness("fifo");
    h.append([undefined, "a", undefined, "a"]);
    const fateOf = (offset: number, key: string | undefined) => {
      const value = key === undefined ? undefined : Buffer.from(key);
      return h.dispatcher.explain(offset, h.nowMs, { value }).fate;
    };
    expect(fateOf(0, undefined)).toEqual({ kind: "ready", unread: undefined });
    expect(fateOf(2, undefined)).toEqual({ kind: "ready", unread: { offset: 0, key: undefined } });
    expect(fateOf(3, "a")).toEqual({ kind: "ready", unread: { offset: 0, key: Buffer.from("a") } });
  });

  it("an empty key is a key like others", () => {
    const h = new Harness("fifo");
    h.append(["", undefined]);
    h.consumer(1);
    expect(offsetsOf(h.pump())).toEqual([0, 1]);
  });

  it("park: messages without a key can be parked", () => {
    const h = new Harness("fifo", { onFailure: "park" });
    h.append([undefined, "a", undefined]);
    h.consumer(1);
    h.pump();
    h.settle(1, "reject", 1, [[0, 1]]);
    expect(h.turn()).toEqual([]);
    expect(h.state.parked.byOffset(0)).toMatchObject({ key: undefined, scope: "key" });
    h.append([undefined, "b"]);
    expect(offsetsOf(h.pump())).toEqual([4]);
    h.dispatcher.releaseParked(0, "settle");
    expect(offsetsOf(h.turn())).toEqual([2]);
  });
});
