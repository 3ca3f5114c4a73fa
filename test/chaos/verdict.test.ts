// A run that looked at nothing must not pass: what is demanded of its verdict, and that verdicts of many runs are added up.
import { expect, it } from "vitest";
import { Ledger } from "./ledger.ts";
import { RunHistory } from "./run-history.ts";
import {
  emptinessOf,
  judge,
  MUST_COMPARE,
  MUST_EXAMINE,
  sumOfVerdicts,
  type Verdict,
} from "./verdict.ts";

function verdictOf(sends: number): Verdict {
  const ledger = new Ledger();
  const producer = ledger.addProducer("p");
  for (let offset = 0; offset < sends; offset += 1) {
    const n = ledger.begin(producer, 0, offset);
    const receipt = { partition: 0, offset, leaderEpoch: 1, duplicate: false };
    ledger.acknowledge(n, receipt, offset + 0.5);
  }
  const history = new RunHistory("a run", ledger, "t");
  const numbers = Array.from({ length: sends }, (_, at) => at);
  const columns = {
    offsets: numbers,
    sends: numbers,
    slots: numbers.map(() => 0),
    leaderEpochs: numbers.map(() => 1),
  };
  history.reads = [{ partition: 0, beganMs: sends, ...columns, strange: new Map() }];
  return judge(history);
}

it("emptiness: a run without sends names all, one with them none, without digests and logs these", () => {
  expect(emptinessOf(verdictOf(0), MUST_EXAMINE).length).toBeGreaterThan(5);
  expect(emptinessOf(verdictOf(3), MUST_EXAMINE)).toEqual([]);
  expect(emptinessOf(verdictOf(3), MUST_COMPARE)).toEqual([
    "nothing was looked at for replica-divergence",
    "nothing was looked at for dirty-log",
  ]);
});

it("sums: what was looked at is added up", () => {
  const sum = sumOfVerdicts([verdictOf(2), verdictOf(3)]);
  expect(sum).toMatchObject({ sent: 5, acknowledged: 5, counts: {}, examined: { phantom: 5 } });
});
