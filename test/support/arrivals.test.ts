// The SDK's observer and the recorder behind it, on a double of the cluster.
import { describe, expect, it } from "vitest";
import { deferred } from "../../src/base/deferred.ts";
import { seededRandom } from "../../src/base/random.ts";
import { type ConsumerMessage, createClient } from "../../src/client/index.ts";
import { ConsumerRecorder, type DeliveryEvent, DeliveryRecorder } from "../../src/testkit/index.ts";
import { eventually, fill, type Setup, setUp } from "../client/consumer-setup.ts";
import { keyTextOf, valueTextOf } from "../delivery-faults/plan.ts";
import { Arrivals } from "./arrivals.ts";

interface Observed extends Setup {
  /** What was written down, in order: kind, and the offsets that it is about. */
  told(): string[];
  events(): DeliveryEvent[];
  readonly gate: { release: Promise<void> };
  readonly handled: number[];
  close(): Promise<void>;
}

function observed(setup: Setup): Observed {
  const { cluster, time } = setup;
  const clock = time.fork();
  const recorder = new DeliveryRecorder(() => clock.monotonicMs());
  const scribe = new ConsumerRecorder(recorder, () => clock.monotonicMs(), "s", "c");
  const { bootstrap, connector } = cluster;
  const observer = new Arrivals(scribe, { key: keyTextOf, value: valueTextOf });
  const client = createClient({ bootstrap, connector, clock, random: seededRandom(3), observer });
  const consumer = client.consumer({ subscription: "s" });
  const gate = { release: Promise.resolve() };
  const handled: number[] = [];
  const handler = async (message: ConsumerMessage): Promise<void> => {
    const got = scribe.begin(message, valueTextOf(message.value), keyTextOf(message.key));
    handled.push(message.offset);
    message.signal.addEventListener("abort", () => scribe.lose(got, "session"));
    await gate.release;
    if (message.signal.aborted) return;
    scribe.ask(got, "ack");
    void message.ack().then(undefined, () => undefined);
  };
  void consumer.run(handler).catch(() => undefined);
  const events = (): DeliveryEvent[] => [...recorder.events()];
  const told = (): string[] => events().map(textOf);
  return { ...setup, told, events, gate, handled, close: () => consumer.close() };
}

function textOf(event: DeliveryEvent): string {
  if (event.type === "deliver") {
    return `deliver ${event.records.map(({ offset }) => offset).join(",")}`;
  }
  if (event.type === "handler") return `${event.phase} ${event.ranges[0]}`;
  const isOfMessages = event.type === "lost" || event.type === "settlement";
  return isOfMessages ? `${event.type} ${event.ranges[0]}` : event.type;
}

describe("arrivals", () => {
  it("what waits is told when it arrives, before the first handler ends", async () => {
    const subject = observed(setUp());
    const gate = deferred<void>();
    subject.gate.release = gate.promise;
    await fill(subject, 0, 3);
    await eventually(subject, () => subject.handled.length === 1);
    expect(subject.told()).toEqual(["deliver 0,1,2", "begin 0"]);
    const [first] = subject.events();
    expect(first?.type === "deliver" && first.records[1]).toMatchObject({
      ...{ offset: 1, key: "k1", handedOut: 1, failed: 0 },
    });
    gate.resolve();
    await eventually(subject, () => subject.handled.length === 3);
    await subject.time.until(subject.close());
    expect(subject.told()).toEqual([
      ...["deliver 0,1,2", "begin 0", "settlement 0", "begin 1", "settlement 1"],
      ...["begin 2", "settlement 2"],
    ]);
  });

  it("what goes back unbegun is lost; nothing is told twice", async () => {
    const subject = observed(setUp());
    const gate = deferred<void>();
    subject.gate.release = gate.promise;
    await fill(subject, 0, 3);
    await eventually(subject, () => subject.handled.length === 1);
    const closed = subject.close();
    gate.resolve();
    await subject.time.until(closed);
    expect(subject.told()).toEqual([
      ...["deliver 0,1,2", "begin 0", "lost 1", "lost 2", "settlement 0"],
    ]);
  });
});
