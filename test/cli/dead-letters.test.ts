// Commands about dead letters, from the command line's words to what is written, on a fake client.
import { describe, expect, it } from "vitest";
import { LETTER, REPORT, run } from "./support.ts";

describe("cli: dlq list and show", () => {
  it("list: a table; expressions are SQL; the last error is cut", async () => {
    const { client, error, terminal } = await run(
      "dlq list mail --filter region='eu' --partition 2",
    );
    expect(error).toBeUndefined();
    const filter = { kind: "sql", expression: "region='eu'" };
    expect(client.calls).toEqual([
      { deadLetters: "mail", wish: { filter, partition: 2, all: false, fromOffset: undefined } },
    ]);
    const text = terminal.out.join("");
    expect(text).toMatch(/PARTITION +OFFSET +DIED +ORIGIN +REASON +FAILED +REDRIVEN +LAST ERROR/);
    expect(text).toMatch(
      /0 +12 +2023-11-14T22:13:20.000Z +orders\/3 1200 +attempts +16 +1 +no such account: .*…/,
    );
    expect(terminal.talk.join()).toContain("flotilla dlq show mail");
  });

  it("list: with what is dealt with, as JSON, filters as JSON, so many at most", async () => {
    const words = 'dlq list mail --all -o json -n 1 --filter {"kind":"tags","tags":["a"]}';
    const { client, terminal } = await run(words, { letters: [LETTER, LETTER] });
    expect(client.calls).toMatchObject([
      { wish: { all: true, filter: '{"kind":"tags","tags":["a"]}' } },
    ]);
    const rows: unknown = JSON.parse(terminal.out.join(""));
    expect(rows).toMatchObject([{ key: "k", value: '{"amount":5}', open: true, failed: 16 }]);
  });

  it("list: nothing there", async () => {
    const { terminal } = await run("dlq list mail", { letters: [] });
    expect(terminal.talk.join()).toContain("mail has no open dead letters");
  });

  it("show: everything about one, its attempts and its value", async () => {
    const { client, terminal } = await run("dlq show mail 0 12");
    expect(client.calls).toEqual([{ deadLetter: "mail", place: { partition: 0, offset: 12 } }]);
    const text = terminal.out.join("");
    for (const line of [
      /place +dlq\/mail\/0 12/,
      /state +open/,
      /redriven +once/,
      /header region +eu/,
    ])
      expect(text).toMatch(line);
    expect(text).toMatch(/nack +no such account\n/);
    expect(text).toContain('{"amount":5}');
  });
});

describe("cli: dlq redrive", () => {
  const plan = { ...REPORT, outcome: "dry-run", redriven: 0 } as const;

  it("counts, asks, sends", async () => {
    const words = "dlq redrive mail --rate 50 --canary 10 --canary-timeout 5m";
    const { client, error, terminal } = await run(words, { redrives: [plan], typed: "mail" });
    expect(error).toBeUndefined();
    const wish = { filter: undefined, partition: undefined, ratePerSecond: 50 };
    const canary = { canary: 10, canaryTimeoutMs: 300_000 };
    expect(client.calls).toEqual([
      { redrive: "mail", wish: { ...wish, ...canary, dryRun: true } },
      { redrive: "mail", wish: { ...wish, ...canary, dryRun: false } },
    ]);
    const talk = terminal.talk.join("\n");
    expect(talk).toContain("30 of 40 dead letters would go to mail once more");
    expect(talk).toContain("sent 30 dead letters back to mail");
  });

  it("nobody to ask: says how to mean it", async () => {
    const words = "dlq redrive mail --filter region='eu' --rate 5";
    const { client, error } = await run(words, { redrives: [plan] });
    expect(error).toMatchObject({
      exitCode: 64,
      advice:
        "if that is meant: flotilla dlq redrive mail --filter 'region='\\''eu'\\''' --rate 5 --yes",
    });
    expect(client.calls).toHaveLength(1);
  });

  it("dry run, and nothing that matches: nothing is asked", async () => {
    const dry = await run("dlq redrive mail --dry-run", { redrives: [{ ...plan, held: 2 }] });
    expect(dry.terminal.talk.join()).toMatch(
      /28 of 40 open .* would be sent; 2 more are worked on/,
    );
    const none = await run("dlq redrive mail", { redrives: [{ ...plan, matching: 0 }] });
    expect(none.error).toBeUndefined();
    expect(none.terminal.talk.join()).toContain("nothing to do");
  });

  it.each([
    ["canary-died", { died: 1, parked: 0, waiting: 3 }, "of the first 5, 1 died again"],
    ["canary-died", { died: 0, parked: 2, waiting: 0 }, "of the first 5, 2 failed for good"],
    ["canary-waiting", { died: 0, parked: 0, waiting: 4 }, "4 of the first 5 are not settled"],
  ] as const)("%s %j: stopped with a sentence, status 1", async (outcome, fates, text) => {
    const canary = { sent: 5, settled: 1, ...fates };
    const report = { ...REPORT, redriven: 5, outcome, canary };
    const words = "dlq redrive mail --yes --canary 5 -o json";
    const { error, terminal } = await run(words, { redrives: [plan, report] });
    expect(error).toMatchObject({ exitCode: 1 });
    expect(error instanceof Error ? error.message : "").toContain(text);
    expect(JSON.parse(terminal.out.join(""))).toMatchObject({ outcome, redriven: 5 });
  });
});
