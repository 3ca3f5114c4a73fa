// Whose turn it is among many consumers with little credit.
import { expect, test } from "vitest";
import { ConsumerTable } from "../../src/delivery/consumer-table.ts";

const CONSUMERS = 1000;
const PARTITIONS = 12;

/** The first `count` consumers that get something, each of them with credit for one message. */
function firstTurns(name: string, count: number): string[] {
  const table = new ConsumerTable(name, false, () => false);
  for (let key = 0; key < CONSUMERS; key += 1) {
    const credit = { messages: 1, bytes: 1000 };
    table.add(key, { id: `consumer-${key}`, reportsBegun: true, credit });
  }
  const served: string[] = [];
  while (served.length < count) {
    const consumer = table.first();
    if (consumer === undefined) break;
    consumer.credit.messages -= 1;
    table.rotate();
    served.push(consumer.id);
  }
  return served;
}

test("turns: bursts that are smaller than the number of consumers go to others in each partition", () => {
  const burst = 250;
  const served = new Set<string>();
  for (let partition = 0; partition < PARTITIONS; partition += 1) {
    for (const id of firstTurns(`orders/${partition}`, burst)) served.add(id);
  }
  // Twelve independent quarters leave out 3 % of the consumers; without the shuffle, 75 %.
  expect(served.size).toBeGreaterThan(0.94 * CONSUMERS);
});

test("turns: the same dispatcher begins at the same consumers again", () => {
  expect(firstTurns("orders/3", 20)).toEqual(firstTurns("orders/3", 20));
});

test("turns: everybody has one turn per round", () => {
  const served = firstTurns("orders/0", 2 * CONSUMERS);
  expect(served).toHaveLength(CONSUMERS);
  expect(new Set(served).size).toBe(CONSUMERS);
});

test("turns: after the first turn the row keeps its order, and who wakes comes last", () => {
  const table = new ConsumerTable("orders/0", false, () => false);
  const add = (key: number) =>
    table.add(key, {
      id: `consumer-${key}`,
      reportsBegun: true,
      credit: { messages: 10, bytes: 1000 },
    });
  for (let key = 0; key < 5; key += 1) add(key);
  const turn = () => {
    const consumer = table.first();
    table.rotate();
    return consumer?.key;
  };
  const round = [turn(), turn(), turn(), turn(), turn()];
  add(5);
  expect([turn(), turn(), turn(), turn(), turn(), turn()]).toEqual([...round, 5]);
});

test("turns: silent ones come when nobody else can, by turns, and have one place again when they are heard", () => {
  const table = new ConsumerTable("orders/0", false, () => false);
  const consumers = [0, 1, 2, 3].map((key) =>
    table.add(key, {
      id: `consumer-${key}`,
      reportsBegun: true,
      credit: { messages: 1000, bytes: 1000 },
    }),
  );
  const [silent, others] = [consumers.slice(0, 2), consumers.slice(2)];
  const turns = (count: number): readonly number[] => {
    const keys = Array.from({ length: count }, () => {
      const consumer = table.first();
      table.rotate();
      return consumer?.key ?? -1;
    });
    return keys.sort((a, b) => a - b);
  };
  for (let round = 0; round < 3; round += 1) {
    for (const one of silent) table.setSilent(one, true);
    expect(turns(6)).toEqual([2, 2, 2, 3, 3, 3]);
    for (const { credit } of others) credit.messages = 0;
    expect(turns(6)).toEqual([0, 0, 0, 1, 1, 1]);
    for (const one of others) {
      one.credit.messages = 1000;
      table.wake(one);
    }
    expect(turns(2)).toEqual([2, 3]);
    // Both in the row of silent ones, or one of them not met there yet.
    if (round === 1) table.first();
    for (const one of silent) table.setSilent(one, false);
    expect(turns(8)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  }
  for (const one of consumers) table.remove(one);
  expect(table.first()).toBeUndefined();
});
