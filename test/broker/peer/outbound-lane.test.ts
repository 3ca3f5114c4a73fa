import { describe, expect, it } from "vitest";
import { OutboundLane, type OutMessage } from "../../../src/broker/peer/outbound-lane.ts";
import { PeerEnvelope, RaftMessage } from "../../../src/rpc/generated/flotilla-internal-v1.ts";
import type { MessageStream } from "../../../src/rpc/ports.ts";

const EMPTY = PeerEnvelope.create({});

/** A stream that takes `room` messages before its sender has to wait. */
class OutStream implements MessageStream<PeerEnvelope, never> {
  readonly sent: PeerEnvelope[] = [];
  room: number;
  isCancelled = false;
  onMessage = (): void => undefined;
  onDrain = (): void => undefined;
  onEnd = (): void => undefined;

  constructor(room = Number.POSITIVE_INFINITY) {
    this.room = room;
  }

  send(envelope: PeerEnvelope): boolean {
    this.sent.push(envelope);
    this.room -= 1;
    return this.room > 0;
  }

  drain(room: number): void {
    this.room = room;
    this.onDrain();
  }

  end(): void {}
  cancel(): void {
    this.isCancelled = true;
  }
  pause(): void {}
  resume(): void {}
}

function laneWith(bytesMax: number) {
  let dropped = 0;
  const lane = new OutboundLane(bytesMax, () => {
    dropped += 1;
  });
  const outcomes: boolean[] = [];
  const message = (index: number, bytes = 10): OutMessage => ({
    envelope: PeerEnvelope.create({ raft: [RaftMessage.create({ groupId: index })] }),
    bytes,
    done: (ok) => outcomes.push(ok),
  });
  return { lane, message, outcomes, dropped: () => dropped };
}

const indexesOf = (stream: OutStream): (number | undefined)[] =>
  stream.sent.map(({ raft }) => raft[0]?.groupId);

describe("outbound lane", () => {
  it("room: while it is attached and less than a quarter of the queue waits", () => {
    const { lane, message } = laneWith(100);
    expect(lane.hasRoom).toBe(false);
    const stream = new OutStream(2);
    lane.attach(stream);
    expect(lane.hasRoom).toBe(true);
    lane.send(message(1));
    lane.send(message(2, 20));
    expect([lane.queuedBytes, lane.hasRoom]).toEqual([20, true]);
    lane.send(message(3));
    expect([lane.queuedBytes, lane.hasRoom]).toEqual([30, false]);
    stream.drain(9);
    expect(lane.hasRoom).toBe(true);
  });

  it("greets whoever attaches, and shows that it works", () => {
    const { lane } = laneWith(100);
    lane.sayAlive();
    const stream = new OutStream();
    lane.attach(stream);
    expect(stream.sent).toEqual([EMPTY]);
    lane.sayAlive();
    expect(stream.sent).toEqual([EMPTY, EMPTY]);
  });

  it("says nothing else while messages wait, and sends these in order", () => {
    const { lane, message, outcomes } = laneWith(100);
    const stream = new OutStream(2);
    lane.attach(stream);
    for (const index of [1, 2, 3]) lane.send(message(index));
    lane.sayAlive();
    expect([indexesOf(stream), lane.queuedBytes]).toEqual([[undefined, 1], 20]);
    stream.drain(1);
    expect([indexesOf(stream), lane.queuedBytes]).toEqual([[undefined, 1, 2], 10]);
    stream.drain(9);
    expect([indexesOf(stream), lane.queuedBytes]).toEqual([[undefined, 1, 2, 3], 0]);
    expect(outcomes).toEqual([true, true, true]);
  });

  it("announces what is large", () => {
    const { lane, message } = laneWith(1_000_000);
    const stream = new OutStream();
    lane.attach(stream);
    lane.send(message(1, 64 * 1024));
    lane.send(message(2, 64 * 1024 + 1));
    expect(indexesOf(stream)).toEqual([undefined, 1, undefined, 2]);
    expect(stream.sent.map(({ nextBytes }) => nextBytes)).toEqual([0, 0, 65_537, 0]);
  });

  it("drops what does not fit, and what nobody is there for", () => {
    const { dropped, lane, message, outcomes } = laneWith(25);
    lane.send(message(1));
    lane.attach(new OutStream(1));
    for (const index of [2, 3, 4]) lane.send(message(index));
    expect([outcomes, dropped(), lane.queuedBytes]).toEqual([[false, false], 2, 20]);
  });

  it("drops what waited for a stream that was replaced", () => {
    const { dropped, lane, message, outcomes } = laneWith(100);
    const [former, next] = [new OutStream(1), new OutStream()];
    lane.attach(former);
    lane.send(message(1));
    lane.attach(next);
    expect([outcomes, dropped(), former.isCancelled]).toEqual([[false], 1, true]);
    former.drain(5);
    former.onEnd();
    lane.send(message(2));
    expect(indexesOf(next)).toEqual([undefined, 2]);
  });

  it("takes a state image that is larger than the queue when nothing else waits, otherwise none of it", () => {
    const { dropped, lane, message, outcomes } = laneWith(25);
    const stream = new OutStream(2);
    lane.attach(stream);
    lane.sendAll([1, 2, 3, 4].map((index) => message(index)));
    expect([outcomes, lane.queuedBytes]).toEqual([[true], 30]);
    lane.sendAll([message(5), message(6)]);
    expect([outcomes, dropped()]).toEqual([[true, false, false], 2]);
    stream.drain(2);
    stream.drain(9);
    expect(indexesOf(stream)).toEqual([undefined, 1, 2, 3, 4]);
    expect(outcomes).toEqual([true, false, false, true, true, true]);
  });
});
