import { describe, expect, it } from "vitest";
import { FailureTable } from "../../src/delivery/failure-table.ts";
import { attempt } from "./fixture.ts";

const fail = (offset: number, error: string) => ({
  offset,
  notBeforeMs: 1,
  attempt: attempt(error),
});

const textsOf = (table: FailureTable, offset: number): string[] | undefined =>
  table.get(offset)?.attempts.map(({ error }) => error);

describe("failures", () => {
  it("texts: are bounded together; failures without room for theirs count all the same", () => {
    const table = new FailureTable(100, 10);
    table.fail(fail(1, "12345"));
    table.fail(fail(2, "12345"));
    table.fail(fail(2, "6"));
    expect([textsOf(table, 2), table.get(2)?.failed]).toEqual([["12345", ""], 2]);
    table.forget(1);
    table.fail(fail(2, "7"));
    table.fail(fail(3, "12345"));
    expect([textsOf(table, 2), textsOf(table, 3)]).toEqual([["12345", "", "7"], [""]]);
    table.clear();
    table.fail(fail(3, "1234567890"));
    expect(textsOf(table, 3)).toEqual(["1234567890"]);
  });

  it("texts: a table that was restored has as much room as before", () => {
    const table = new FailureTable(100, 10);
    table.fail(fail(1, "1234567"));
    const copy = new FailureTable(100, 10);
    copy.restore("f/", table.pairs("f/"));
    for (const one of [table, copy]) {
      one.fail(fail(1, "1234"));
      one.fail(fail(1, "123"));
      expect(textsOf(one, 1)).toEqual(["1234567", "", "123"]);
    }
  });

  it("cleared: nobody is dead any more", () => {
    const table = new FailureTable();
    table.kill({ offset: 4, attempt: undefined });
    expect(table.deadCount).toBe(1);
    table.clear();
    expect([table.deadCount, table.size, table.dead()]).toEqual([0, 0, []]);
  });

  it("dead: a hundred thousand are taken one by one without looking at all of them each time", () => {
    const table = new FailureTable();
    for (let offset = 0; offset < 100_000; offset += 1) table.kill({ offset, attempt: undefined });
    // Looking at all of them each time would take longer than a test may.
    const dead = table.deadOffsets();
    let inOrder = 0;
    for (let offset = 0; offset < 100_000; offset += 1) {
      if (dead.next().value === offset) inOrder += 1;
      table.forget(offset);
    }
    expect(inOrder).toBe(100_000);
    table.kill({ offset: 7, attempt: undefined });
    expect([dead.next().value, dead.next().done, table.deadCount]).toEqual([7, true, 1]);
  });
});
