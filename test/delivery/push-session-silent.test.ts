// A consumer that vanished without a word: what its stream says, or not, counts in all its partitions.
import { describe, expect, it } from "vitest";
import type { SubscribeMessage } from "../../src/delivery/push-request.ts";
import { chooseOwner } from "../../src/delivery/rendezvous-plan.ts";
import { FakePartition, type FakeStream, stageOf, TOPIC_ID } from "./fake-partition.ts";
import { rowOf } from "./support.ts";

const DEADLINE_MS = 5000;
const PLENTY = { messages: 1000, bytes: 1_000_000 };

class OtherPartition extends FakePartition {
  override readonly partition: number = 1;
}

/** Of many names one whose both partitions are, and one that has none beside it. */
function pair(): { readonly chosen: string; readonly other: string } {
  for (let at = 0; ; at += 1) {
    const [chosen, other] = [`x${at}`, `y${at}`];
    const ids = [{ id: chosen }, { id: other }];
    const owners = [0, 1].map((partition) => chooseOwner(ids, `${TOPIC_ID}/${partition}`)?.id);
    if (owners.every((owner) => owner === chosen)) return { chosen, other };
  }
}

async function stage(credit = PLENTY) {
  const base = await stageOf([rowOf({ mode: "exclusive", ackDeadlineMs: DEADLINE_MS })]);
  const second = new OtherPartition();
  base.host.add(second);
  second.lead();
  await base.clock.run(0);
  const { chosen, other } = pair();
  const first = base.open({ consumerId: chosen }, credit);
  const neighbour = base.open({ consumerId: other });
  await base.clock.run(10);
  return { ...base, second, first, neighbour };
}

/** Topic partitions of what came, in the order of coming. */
function partitionsOf({ channels, deliveries }: FakeStream): (number | undefined)[] {
  return deliveries.map(
    ({ channel }) => channels.find((one) => one.channel === channel)?.partition,
  );
}

function ackAll(stream: FakeStream): void {
  for (const [at, { channel, deliveryNumber }] of stream.deliveries.entries()) {
    stream.ack(at + 1, deliveryNumber, [], channel);
  }
}

const settle = { number: 1, channel: 0, deliveryNumber: 1, ranges: [] as number[] };
const more = { cumulative: false, retryAtMs: 0, error: "" };
const WORDS: readonly (readonly [string, Partial<SubscribeMessage>])[] = [
  ["an acknowledgement", { settle: [{ ...settle, ...more, kind: "ack" }] }],
  ["begun", { settle: [{ ...settle, ...more, kind: "begun" }] }],
  ["extend", { settle: [{ ...settle, ...more, kind: "extend" }] }],
  ["credit", { creditMessages: 1, creditBytes: 1 }],
  ["nothing at all", {}],
];

describe("push session: a silent consumer", () => {
  it("all its partitions go to the other one at the deadline, also where it held nothing", async () => {
    const { clock, first, neighbour, partition, second } = await stage({
      messages: 1,
      bytes: 1000,
    });
    partition.append("a");
    await clock.run(0);
    second.append("b");
    await clock.run(DEADLINE_MS - 100);
    expect([partitionsOf(first), partitionsOf(neighbour)]).toEqual([[0], []]);
    await clock.run(200);
    expect(partitionsOf(neighbour).sort()).toEqual([0, 1]);
  });

  it.each(WORDS)("is like the others again after %s", async (_what, word) => {
    const { clock, first, neighbour, partition, second } = await stage();
    partition.append("a");
    await clock.run(DEADLINE_MS + 100);
    expect(partitionsOf(neighbour)).toEqual([0]);
    ackAll(neighbour);
    await clock.run(0);
    second.append("b");
    await clock.run(0);
    expect(partitionsOf(neighbour)).toEqual([0, 1]);
    ackAll(neighbour);
    first.say(word);
    await clock.run(0);
    partition.append("c");
    second.append("d");
    await clock.run(0);
    expect(partitionsOf(first)).toEqual([0, 0, 1]);
    expect(neighbour.deliveries).toHaveLength(2);
  });

  it("has not spoken in partitions that come to its stream meanwhile", async () => {
    const base = await stageOf([rowOf({ ackDeadlineMs: DEADLINE_MS })]);
    // With little credit, so that both would get something.
    const little = { messages: 3, bytes: 1_000_000 };
    const streams = [base.open({ consumerId: "c1" }, little)];
    base.partition.append("a");
    await base.clock.run(0);
    streams.push(base.open({ consumerId: "c2" }, little));
    await base.clock.run(DEADLINE_MS + 100);
    const second = new OtherPartition();
    base.host.add(second);
    second.lead();
    for (let at = 0; at < 2; at += 1) second.append("b");
    await base.clock.run(10);
    expect(streams.map(partitionsOf)).toEqual([[0], [0, 1, 1]]);
  });
});
