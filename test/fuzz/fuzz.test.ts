// A short look with a seed that changes from run to run; SEED=<n> repeats one. Longer ones: npm run test:fuzz.
import { expect, test } from "vitest";
import { corpusOf } from "./corpus.ts";
import { fuzz, replay } from "./fuzz.ts";
import { SUBJECTS } from "./subjects/all.ts";
import { openSocketSubject } from "./subjects/socket.ts";

const RUNS = 1000;
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

test.each(SUBJECTS.map((subject) => [subject.name, subject] as const))(
  `fuzz: %s, seed ${seed}`,
  async (name, subject) => {
    expect(await replay(subject, corpusOf(name))).toEqual([]);
    expect(await fuzz(subject, seed, RUNS)).toBeUndefined();
  },
  60_000,
);

test(`fuzz: every request over a socket, seed ${seed}`, async () => {
  const subject = await openSocketSubject();
  try {
    expect(await replay(subject, corpusOf(subject.name))).toEqual([]);
    expect(await fuzz(subject, seed, RUNS)).toBeUndefined();
  } finally {
    await subject.close?.();
  }
}, 60_000);
