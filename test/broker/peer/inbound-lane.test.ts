import { describe, expect, it } from "vitest";
import { seededRandom } from "../../../src/base/random.ts";
import { InboundLane, type InboundLaneEvents } from "../../../src/broker/peer/inbound-lane.ts";
import { BrokerError } from "../../../src/model/errors.ts";
import { AttachRequest, PeerEnvelope } from "../../../src/rpc/generated/flotilla-internal-v1.ts";
import type { Connection, MessageStream, Method } from "../../../src/rpc/ports.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

interface Side {
  says(envelope: PeerEnvelope): void;
  ends(error: BrokerError): void;
}

/** What the lane dials: remembers its streams, never answers by itself. */
class Wire implements Connection {
  readonly endpoint = "n2:9093";
  readonly streams: Side[] = [];
  isClosed = false;

  unary(): Promise<never> {
    throw new Error("lanes are streams");
  }

  bidi(): never {
    throw new Error("lanes only receive");
  }

  serverStream<Request, Response>(
    method: Method<Request, Response, "server-stream">,
  ): MessageStream<never, Response> {
    const nothing = (): void => undefined;
    const stream: MessageStream<never, Response> = {
      ...{ onMessage: nothing, onDrain: nothing, onEnd: nothing, send: () => true },
      ...{ end: nothing, cancel: nothing, pause: nothing, resume: nothing },
    };
    this.streams.push({
      says: (envelope) => {
        stream.onMessage(method.codec.decodeResponse(PeerEnvelope.encode(envelope)));
      },
      ends: (error) => stream.onEnd(error),
    });
    return stream;
  }

  close(): void {
    this.isClosed = true;
  }
}

function laneOn(clock: VirtualClock) {
  const wires: Wire[] = [];
  let silences = 0;
  const events: InboundLaneEvents = {
    onEnvelope: () => undefined,
    onLost: () => undefined,
    onRefusal: () => undefined,
    onSilence: () => {
      silences += 1;
    },
  };
  const connect = (): Connection => {
    const wire = new Wire();
    wires.push(wire);
    return wire;
  };
  const request = AttachRequest.create({ nodeId: 1, lane: "control" });
  const ports = { clock: clock.root, random: seededRandom(1), connect, request };
  const lane = new InboundLane(ports, events);
  return { lane, wires, silences: () => silences };
}

describe("inbound lane", () => {
  it("dials on a new connection when a stream that stands says nothing", async () => {
    const clock = new VirtualClock();
    const { lane, silences, wires } = laneOn(clock);
    await clock.run(2900);
    expect(wires.length).toBe(1);
    await clock.run(200);
    expect(silences()).toBe(1);
    expect(wires.map(({ isClosed, streams }) => [isClosed, streams.length])).toEqual([
      [true, 1],
      [false, 1],
    ]);
    lane.close();
    expect(wires[1]?.isClosed).toBe(true);
    await clock.run(10_000);
    expect(wires.length).toBe(2);
  });

  it("leaves a stream alone that says something every second", async () => {
    const clock = new VirtualClock();
    const { lane, silences, wires } = laneOn(clock);
    for (let second = 0; second < 20; second += 1) {
      await clock.run(1000);
      wires[0]?.streams[0]?.says(PeerEnvelope.create({}));
    }
    expect([silences(), wires.length]).toEqual([0, 1]);
    lane.close();
  });

  it("is more patient with a lane that works: a large message may take longer than three seconds", async () => {
    const clock = new VirtualClock();
    const { lane, silences, wires } = laneOn(clock);
    const speaks = (): void => wires.at(-1)?.streams[0]?.says(PeerEnvelope.create({}));
    const silentFor = async (seconds: number): Promise<number> => {
      const before = silences();
      await clock.run(seconds * 1000);
      return silences() - before;
    };
    await clock.run(1);
    for (const patience of [3, 6, 12, 12]) {
      // The greeting, which every connection begins with.
      speaks();
      expect(await silentFor(patience - 1)).toBe(0);
      expect(await silentFor(1)).toBe(1);
    }
    speaks();
    expect(await silentFor(10)).toBe(0);
    // The large message has come; behind it the lane speaks every second again.
    speaks();
    expect(await silentFor(1)).toBe(0);
    speaks();
    expect(await silentFor(3)).toBe(1);
    lane.close();
  });

  it("is not more patient with connections that never come about", async () => {
    const clock = new VirtualClock();
    const { lane, silences, wires } = laneOn(clock);
    await clock.run(1);
    wires[0]?.streams[0]?.says(PeerEnvelope.create({}));
    await clock.run(30_000);
    expect(silences()).toBe(10);
    lane.close();
  });

  it("dials again on the same connection after a stream's end, which is no silence", async () => {
    const clock = new VirtualClock();
    const { lane, silences, wires } = laneOn(clock);
    for (let time = 0; time < 10; time += 1) {
      await clock.run(1500);
      wires[0]?.streams.at(-1)?.ends(new BrokerError("UNREACHABLE", "reset"));
    }
    expect([silences(), wires.length]).toEqual([0, 1]);
    expect(wires[0]?.streams.length).toBeGreaterThan(5);
    lane.close();
  });
});
