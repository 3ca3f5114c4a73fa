// A short look with a seed that changes from run to run; SEED=<n> repeats one. Longer ones: npm run test:fuzz.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { corpusOf } from "./corpus.ts";
import { fuzz, replay } from "./fuzz.ts";
import { SUBJECTS } from "./subjects/all.ts";
import { openSocketSubjects, SOCKET_SUBJECTS, type SocketSubjects } from "./subjects/sockets.ts";

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

describe("over a socket", () => {
  let sockets: SocketSubjects;
  beforeAll(async () => {
    sockets = await openSocketSubjects();
  }, 30_000);
  afterAll(() => sockets.close());

  test.each(SOCKET_SUBJECTS)(
    `fuzz: %s, seed ${seed}`,
    async (name) => {
      const subject = sockets.subjects.find((candidate) => candidate.name === name);
      if (subject === undefined) throw new Error(`no ${name}`);
      expect(await replay(subject, corpusOf(name))).toEqual([]);
      expect(await fuzz(subject, seed, RUNS)).toBeUndefined();
    },
    60_000,
  );
});
