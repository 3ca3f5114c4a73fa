import { describe, expect, it } from "vitest";
import { ConsumerRecorder, DeliveryRecorder } from "../../src/testkit/index.ts";
import { MemberSink } from "./member-sink.ts";

const AT = 9;

function message(offset: number, token = { leaderEpoch: 1, deliveryNumber: 1 }) {
  return { ...{ topic: "t", partition: 2, offset, attempt: 1, handedOut: 1 }, token };
}

function opened(): { sink: MemberSink; scribe: ConsumerRecorder; acknowledged: number[] } {
  const acknowledged: number[] = [];
  const sink = new MemberSink(new DeliveryRecorder(() => AT), {
    begun: () => undefined,
    asked: () => undefined,
    acknowledged: (_, offset) => acknowledged.push(offset),
  });
  return { sink, scribe: new ConsumerRecorder(sink, () => AT, "s", "c"), acknowledged };
}

describe("member sink", () => {
  it("held: from the beginning until it is decided, whatever is asked for; only confirmed acks count", () => {
    const { acknowledged, scribe, sink } = opened();
    for (const verdict of ["ack", "nack"] as const) {
      for (const outcome of ["confirmed", "refused", "unknown"] as const) {
        const handled = scribe.begin(message(7), "v", undefined);
        expect(sink.held, `${verdict} ${outcome}`).toBe(1);
        scribe.end(handled, verdict === "ack");
        expect(sink.held, `${verdict} ${outcome}`).toBe(1);
        const number = scribe.ask(handled, verdict);
        expect(sink.held, `${verdict} ${outcome}`).toBe(0);
        scribe.answer(number, outcome);
      }
    }
    expect(acknowledged).toEqual([7]);
  });

  it("held: what is lost is not held any more", () => {
    const { scribe, sink } = opened();
    scribe.lose(scribe.begin(message(7), "v", undefined), "deadline");
    expect(sink.held).toBe(0);
  });

  it("held: the end of an older lease does not end the newer one", () => {
    const { scribe, sink } = opened();
    const former = scribe.begin(message(7), "v", undefined);
    const newer = scribe.begin(message(7, { leaderEpoch: 2, deliveryNumber: 1 }), "v", undefined);
    scribe.lose(former, "deadline");
    expect(sink.held).toBe(1);
    scribe.ask(newer, "ack");
    expect(sink.held).toBe(0);
  });

  it("held: another leader that lets it go on does not end it", () => {
    const { scribe, sink } = opened();
    const received = message(7);
    const handled = scribe.begin(received, "v", undefined);
    received.token = { leaderEpoch: 2, deliveryNumber: 4 };
    scribe.end(handled, true);
    expect(sink.held).toBe(1);
    scribe.ask(handled, "ack");
    expect(sink.held).toBe(0);
  });
});
