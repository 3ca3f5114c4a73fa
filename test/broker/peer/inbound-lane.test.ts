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

/** Says something after so many seconds on the newest connection, unless that is given up before. */
async function speaksAfter(
  clock: VirtualClock,
  wires: Wire[],
  seconds: number,
  nextBytes = 0,
): Promise<boolean> {
  const wire = wires.at(-1);
  for (let ms = 0; ms < seconds * 1000 && wire?.isClosed === false; ms += 100) await clock.run(100);
  // Another one is dialled at once.
  await clock.run(1);
  if (wire?.isClosed === false) wire.streams[0]?.says(PeerEnvelope.create({ nextBytes }));
  return wire?.isClosed === false;
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

  it("slow link: a large message arrives some time, although another connection begins it anew (2, 8, 20 s)", async () => {
    for (const seconds of [2, 8, 20]) {
      const clock = new VirtualClock();
      const { lane, silences, wires } = laneOn(clock);
      const sendLarge = async (): Promise<boolean> => {
        // Among others, large ones too, which are fast enough.
        for (const next of [0, 0, 100_000, 0]) await speaksAfter(clock, wires, 1, next);
        await speaksAfter(clock, wires, 0.5, 1_000_000);
        return speaksAfter(clock, wires, seconds);
      };
      while (!(await sendLarge()) && silences() < 10) await clock.run(1);
      expect(silences()).toBeLessThanOrEqual(3);
      // The next one has not to begin from the start, with small ones between them.
      const before = silences();
      for (let time = 0; time < 3; time += 1) expect(await sendLarge()).toBe(true);
      expect(silences()).toBe(before);
      lane.close();
    }
  });

  it("slow link: other silences are not waited for any longer, nor are those after a large message that was punctual", async () => {
    const clock = new VirtualClock();
    const { lane, silences, wires } = laneOn(clock);
    const isGivenUpAfter = async (seconds: number): Promise<boolean> => {
      await clock.run(seconds * 1000 - 500);
      const before = silences();
      await clock.run(500);
      return silences() === before + 1;
    };
    for (const patience of [3, 6, 12]) {
      await speaksAfter(clock, wires, 0, 1_000_000);
      expect(await isGivenUpAfter(patience)).toBe(true);
      await speaksAfter(clock, wires, 0);
      expect(await isGivenUpAfter(3)).toBe(true);
    }
    await speaksAfter(clock, wires, 0, 1_000_000);
    await speaksAfter(clock, wires, 1, 1_000_000);
    expect(await isGivenUpAfter(3)).toBe(true);
    lane.close();
  });

  it("is given up every three seconds while nothing comes at all", async () => {
    const clock = new VirtualClock();
    const { lane, silences } = laneOn(clock);
    await clock.run(30_500);
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
