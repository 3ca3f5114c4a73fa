import { expect, test } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { Fifo } from "../../src/partition/fifo.ts";

test("fifo: behaves like an array (random operations)", () => {
  const seed = 11;
  const random = seededRandom(seed);
  const fifo = new Fifo<number>();
  const model: number[] = [];
  for (let step = 0; step < 20_000; step += 1) {
    const dice = random.integer(0, 100);
    const isGrowing = step % 8000 < 5000;
    if (dice < (isGrowing ? 60 : 20)) {
      fifo.push(step);
      model.push(step);
    } else if (dice < 90) expect(fifo.shift(), `seed ${seed}`).toBe(model.shift());
    else if (dice < 95) expect(fifo.pop()).toBe(model.pop());
    else {
      const position = random.integer(0, model.length + 1);
      fifo.insert(position, -step);
      model.splice(position, 0, -step);
    }
    expect(fifo.length).toBe(model.length);
    expect(fifo.peek()).toBe(model[0]);
    expect(fifo.last()).toBe(model.at(-1));
    const place = random.integer(0, model.length + 1);
    expect(fifo.at(place)).toBe(model[place]);
  }
});
