// What hints save: a batch of tagged messages is loaded for a subscription whose tag none of them carries, with its hints and
// without. And what gathering them costs whoever encodes the batch.
// Run: npx tsx bench/delivery/hints.bench.ts
import { loadBatch } from "../../src/delivery/batch-loader.ts";
import { compileFilter } from "../../src/filter/compile-filter.ts";
import { HEADER } from "../../src/model/headers.ts";
import {
  BatchBuilder,
  NO_PRODUCER,
  type RecordHeader,
} from "../../src/model/record-batch-builder.ts";

const RECORDS = 450;
const BATCHES = 2000;
const ROUNDS = 5;
const PLACE = { topic: "t", partition: 0, appendTimeMs: 1 };
const value = Buffer.alloc(100, 1);
const tags: RecordHeader[][] = ["red", "green", "blue"].map((tag) => [
  { name: HEADER.TAGS, value: Buffer.from(tag) },
]);
const plain = tags.map(([header]) => [{ name: "x-tags-of-mine", value: header?.value ?? value }]);
const builder = new BatchBuilder();

function build(headers: typeof tags): { readonly batch: Buffer; readonly hints: Buffer } {
  for (let i = 0; i < RECORDS; i += 1) builder.append("key", value, headers[i % 3], 1);
  return builder.finishIn(NO_PRODUCER, 64 * 1024);
}

/** CPU microseconds per message, the best of the rounds. */
function cost(work: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    const before = process.cpuUsage();
    for (let i = 0; i < BATCHES; i += 1) work();
    const { system, user } = process.cpuUsage(before);
    best = Math.min(best, (system + user) / (BATCHES * RECORDS));
  }
  return best;
}

const { batch, hints } = build(tags);
const filter = compileFilter({ kind: "tags", tags: ["yellow"] });
const show = (name: string, us: number): void => {
  process.stdout.write(`${name.padEnd(44)} ${us.toFixed(4)} µs per message\n`);
};
show(
  "load, no hints",
  cost(() => loadBatch(batch, PLACE, { filter, needsKeys: false })),
);
show(
  "load, hints",
  cost(() => loadBatch(batch, PLACE, { filter, needsKeys: false, hints })),
);
show(
  "encode, a header that is no tag",
  cost(() => build(plain)),
);
show(
  "encode, a tag",
  cost(() => build(tags)),
);
