// Commands about subscriptions, from the command line's words to what is written, on a fake client.
import { CommanderError } from "commander";
import { describe, expect, it } from "vitest";
import { describeFailure } from "../../src/cli/failure.ts";
import { LagRates } from "../../src/cli/lag-rates.ts";
import { humanDuration } from "../../src/cli/table.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { PROGRESS, run, SUBSCRIPTION } from "./support.ts";

describe("cli: subscription create and alter", () => {
  it("create: names topics, says what was made and how to look at it", async () => {
    const { client, error, terminal } = await run("subscription create mail --topics orders,shop");
    expect(error).toBeUndefined();
    expect(client.calls).toEqual([
      {
        create: {
          name: "mail",
          topics: ["orders", "shop"],
          mode: undefined,
          paused: false,
          start: undefined,
        },
        validateOnly: false,
      },
    ]);
    expect(terminal.talk.join()).toMatch(/created mail \(s-1\) on orders.*flotilla lag mail/);
  });

  it("create: every option arrives", async () => {
    const words =
      "-o json sub create mail --regex a.* --mode fifo --from @1700000000000 --paused --dry-run " +
      "--attempts 3 --retry-delays 1s,2m --retry-initial 5s --retry-max 1h --retry-multiplier 1.5 " +
      "--retry-jitter 0 --dead-letter dlq/all --on-failure stop --ack-deadline 2m --tags a,b";
    const { client, error, terminal } = await run(words);
    expect(error).toBeUndefined();
    expect(client.calls).toEqual([
      {
        create: {
          name: "mail",
          topics: { regex: "a.*" },
          mode: "fifo",
          start: { timeMs: 1_700_000_000_000 },
          paused: true,
          filter: { kind: "tags", tags: ["a", "b"] },
          retry: {
            attempts: 3,
            delaysMs: [1000, 120_000],
            initialMs: 5000,
            maxMs: 3_600_000,
            multiplier: 1.5,
            jitter: 0,
          },
          deadLetter: "dlq/all",
          onFailure: "stop",
          ackDeadlineMs: 120_000,
        },
        validateOnly: true,
      },
    ]);
    expect(JSON.parse(terminal.out.join(""))).toMatchObject({ name: "mail", topics: ["orders"] });
  });

  it.each<[readonly string[], unknown]>([
    [["--sql", "amount > 100 AND eu"], { kind: "sql", expression: "amount > 100 AND eu" }],
    [["--routing-key", "a,b"], { kind: "direct", keys: ["a", "b"] }],
    [["--routing-pattern", "eu.*,us.#"], { kind: "topic", patterns: ["eu.*", "us.#"] }],
    [
      ["--header", "a=1=2", "--header", "b", "--match", "any"],
      { kind: "headers", match: "any", headers: { a: "1=2", b: null } },
    ],
    [["--header", "a="], { kind: "headers", match: "all", headers: { a: "" } }],
    [["--filter", '{"kind":"fanout"}'], '{"kind":"fanout"}'],
    [["--no-filter"], { kind: "all" }],
  ])("filter: %j", async (words, filter) => {
    const { client } = await run(["subscription", "alter", "mail", ...words]);
    expect(client.calls).toEqual([{ alter: "mail", changes: { filter }, version: undefined }]);
  });

  it.each([
    ["create mail", "--topics"],
    ["create mail --topics a --regex b", "only one of"],
    ["create mail --topics a --tags b --sql c", "one kind of filter"],
    ["create mail --topics a --match any", "--header"],
    ["create mail --topics a --header =x", "name=value"],
    ["create mail --topics a --header x=1 --header x=2", "twice"],
    ["create mail --topics a --from 12", "earliest"],
    ["alter mail", "nothing to change"],
    ["seek mail --to 12", "--partition"],
    ["seek mail --to latest --partition 1", "--topic"],
    ["seek mail --to soon", "--to must be"],
    ["explain mail orders 3", "orders/3"],
  ])("refused: %s", async (words, message) => {
    const { client, error } = await run(`subscription ${words}`);
    expect(describeFailure(error)).toMatchObject({ exitCode: 64 });
    expect(describeFailure(error).message).toContain(message);
    expect(client.calls).toEqual([]);
  });

  it.each([
    "create mail --topics a --mode broadcast",
    "create mail --topics a --ack-deadline 30",
    "create mail --topics a --retry-jitter 2",
    "create mail --topics a --attempts 0",
    "seek mail",
  ])("typing errors are told by option: %s", async (words) => {
    expect((await run(`subscription ${words}`)).error).toBeInstanceOf(CommanderError);
  });

  it("alter: only what is named, over a version", async () => {
    const { client, terminal } = await run(
      "subscription alter mail --no-dead-letter --ack-deadline 5s --if-version 812",
    );
    const changes = { deadLetter: false, ackDeadlineMs: 5000 };
    expect(client.calls).toEqual([{ alter: "mail", changes, version: 812 }]);
    expect(terminal.talk.join()).toContain("version 813");
  });

  it("pause and resume: until resumed, or for a while", async () => {
    const paused = await run("subscription pause mail");
    expect(paused.client.calls).toEqual([{ pause: "mail", untilMs: undefined }]);
    expect(paused.terminal.talk.join()).toContain("flotilla subscription resume mail");
    const before = Date.now();
    const [call] = (await run("subscription pause mail --for 10m")).client.calls;
    const { untilMs } = call as { readonly untilMs: number };
    expect(untilMs).toBeGreaterThanOrEqual(before + 600_000);
    expect((await run("subscription resume mail")).client.calls).toEqual([{ resume: "mail" }]);
  });

  it("delete: asks, or wants to be told that it is meant", async () => {
    const refused = await run("subscription delete mail");
    expect(describeFailure(refused.error)).toMatchObject({ exitCode: 64 });
    expect(describeFailure(refused.error).advice).toContain("delete mail --yes");
    expect(refused.client.calls).toEqual([]);
    expect((await run("subscription delete mail", { typed: "no" })).client.calls).toEqual([]);
    for (const done of [
      await run("subscription delete mail --yes"),
      await run("subscription delete mail", { typed: "mail" }),
    ]) {
      expect(done.client.calls).toEqual([{ delete: "mail" }]);
    }
  });
});

describe("cli: subscription questions", () => {
  it("list: what each wants, and whether it is paused", async () => {
    const pausedUntilMs = Number.MAX_SAFE_INTEGER;
    const { client, terminal } = await run("subscription ls --topic orders", {
      subscriptions: [
        SUBSCRIPTION,
        {
          ...SUBSCRIPTION,
          name: "audit",
          topics: { kind: "patterns", patterns: ["shop/#"] },
          filter: { kind: "headers", match: "any", headers: { a: "1", b: null } },
          pausedUntilMs,
        },
      ],
    });
    expect(client.calls).toEqual([{ list: { prefix: "", topic: "orders" } }]);
    const lines = terminal.out.join("").split("\n");
    expect(lines[1]).toMatch(/^mail +keyed +orders +tags paid +active/);
    expect(lines[2]).toMatch(/^audit +keyed +like shop\/# +headers a=1 or b +paused/);
  });

  it("describe: the definition in words, and where it stands", async () => {
    const stopped = { ...PROGRESS, partition: 1, stoppedAtPlusOne: 5, droppedMessages: 7 };
    const unknown = [{ topic: "orders", partition: 2 }];
    const { terminal } = await run("subscription describe mail", {
      progress: [{ partitions: [PROGRESS, stopped], unknown }],
    });
    const text = terminal.out.join("");
    expect(text).toContain("version 812");
    expect(text).toMatch(/retries +16 attempts, after 1 s to 10 min \(×2, jitter 20 %\)/);
    expect(text).toMatch(/after the last failure +its key is parked/);
    expect(text).toMatch(/orders\/0 +900 +1000 +100 +2\.0 KiB +– +10 +3 +2 +4\n/);
    expect(text).toMatch(/orders\/1 .*stopped at 4, 7 dropped unsettled/);
    expect(terminal.talk).toEqual(["no leader answered for orders/2"]);
    const json = await run("-o json subscription describe mail");
    expect(JSON.parse(json.terminal.out.join(""))).toMatchObject({
      subscription: { name: "mail" },
      progress: { partitions: [{ cursor: 900 }] },
    });
  });

  it("explain: one sentence, and the failures", async () => {
    const { client, terminal } = await run("subscription explain mail shop/orders/3 1200", {
      explanation: {
        fate: "delayed",
        sentence: "It failed twice and is due in 8 s.",
        handedOut: 2,
        failed: 2,
        failures: [{ timeMs: 1_700_000_000_000, cause: "nack", error: "no such customer" }],
      },
    });
    expect(client.calls).toEqual([
      { explain: "mail", message: { topic: "shop/orders", partition: 3, offset: 1200 } },
    ]);
    const text = terminal.out.join("");
    expect(text).toContain("due in 8 s");
    expect(text).toMatch(/2023-11-14T22:13:20.000Z +nack +no such customer/);
  });

  it("explain: of a message that died, where its letter is", async () => {
    const explanation = {
      fate: "dead",
      sentence: "It failed for good.",
      handedOut: 1,
      failed: 1,
      failures: [{ timeMs: 1_700_000_000_000, cause: "reject", error: "no such customer" }],
      deadLetter: { topic: "dlq/mail", partition: 0, offset: 12 },
    };
    const { terminal } = await run("subscription explain mail orders/3 1200", { explanation });
    expect(terminal.out.join("")).toMatch(/It failed for good.*\n\n.*\n.*reject +no such customer/);
    expect(terminal.talk).toEqual(["look at it with: flotilla dlq show mail 0 12"]);
    const json = await run("subscription explain mail orders/3 1200 -o json", { explanation });
    const { deadLetter, fate } = explanation;
    expect(JSON.parse(json.terminal.out.join(""))).toMatchObject({ fate, deadLetter });
    expect(json.terminal.talk).toEqual([]);
  });

  it("parked and release: keys as text or hex, and what becomes of the message", async () => {
    const parked = await run("subscription parked mail orders/3", {
      parked: [
        {
          topic: "orders",
          partition: 3,
          offset: 7,
          key: Buffer.from("c42"),
          sinceMs: 1_700_000_000_000,
          failures: [{ timeMs: 1, cause: "reject", error: "bad" }],
        },
        {
          topic: "orders",
          partition: 3,
          offset: 9,
          key: Buffer.from([0xff, 0x00]),
          sinceMs: 1_700_000_000_000,
          failures: [],
        },
      ],
    });
    expect(parked.client.calls).toEqual([
      { parked: "mail", where: { topic: "orders", partition: 3 } },
    ]);
    const text = parked.terminal.out.join("");
    expect(text).toMatch(/orders\/3 +7 +c42 +2023-.* reject: bad/);
    expect(text).toMatch(/orders\/3 +9 +0xff00/);
    const message = { topic: "orders", partition: 3, offset: 7 };
    const released = await run("subscription release mail orders/3 7 --skip-message");
    expect(released.client.calls).toEqual([{ release: "mail", message, skipMessage: true }]);
    expect(released.terminal.talk.join()).toContain("dead letters");
    expect((await run("subscription parked mail")).terminal.talk).toEqual(["nothing is parked"]);
  });
});

describe("cli: subscription seek", () => {
  const skipping = (skippedMessages: number) => [
    {
      topic: "orders",
      partition: 0,
      from: 900,
      to: 1000,
      skippedMessages,
      repeatedMessages: 0,
    },
  ];

  it("dry run: tells and moves nothing", async () => {
    const { client, terminal } = await run("subscription seek mail --to @1700000000000 --dry-run");
    expect(client.calls).toEqual([
      {
        seek: "mail",
        to: { kind: "time", timeMs: 1_700_000_000_000 },
        where: { topic: undefined, partition: undefined },
        dryRun: true,
      },
    ]);
    expect(terminal.out.join("")).toMatch(/orders\/0 +900 +400 +0 +500/);
    expect(terminal.talk).toEqual(["nothing was changed"]);
  });

  it("back: nothing is lost, so nobody is asked", async () => {
    const { client, error, terminal } = await run(
      "subscription seek mail --to 400 --topic orders --partition 0",
    );
    expect(error).toBeUndefined();
    expect(client.calls).toMatchObject([{ dryRun: true }, { dryRun: false }]);
    expect(terminal.talk.join()).toContain("500 to be delivered again");
  });

  it("forward: asks when messages would be skipped, or wants to be told that it is meant", async () => {
    const refused = await run("subscription seek mail --to latest", { seeks: [skipping(100)] });
    expect(describeFailure(refused.error).exitCode).toBe(64);
    expect(describeFailure(refused.error).message).toContain("100 messages");
    expect(refused.client.calls).toHaveLength(1);
    for (const [words, typed] of [
      ["subscription seek mail --to latest --yes", undefined],
      ["subscription seek mail --to latest", "mail"],
    ] as const) {
      const seeks = [skipping(100), skipping(100)];
      const done = await run(words, typed === undefined ? { seeks } : { seeks, typed });
      expect(done.error).toBeUndefined();
      expect(done.client.calls).toMatchObject([{ dryRun: true }, { dryRun: false }]);
      expect(done.terminal.talk.join()).toContain("100 messages skipped");
    }
  });
});

describe("cli: lag", () => {
  it("of one subscription: per partition", async () => {
    const old = { ...PROGRESS, partition: 1, oldestUnsettledMs: Date.now() - 90_000 };
    const { terminal } = await run("lag mail", {
      progress: [{ partitions: [PROGRESS, old], unknown: [{ topic: "orders", partition: 2 }] }],
    });
    const lines = terminal.out.join("").split("\n");
    expect(lines[1]).toMatch(/^orders\/0 +100 +2\.0 KiB +– +10 +3 +4/);
    expect(lines[2]).toMatch(/^orders\/1 +100 +2\.0 KiB +1 min 3\d s/);
    expect(terminal.talk.join()).toContain("orders/2");
  });

  it("of all: partitions added up", async () => {
    const { terminal } = await run("lag", {
      subscriptions: [SUBSCRIPTION, { ...SUBSCRIPTION, name: "audit" }],
      progress: [{ partitions: [PROGRESS, { ...PROGRESS, partition: 1 }], unknown: [] }],
    });
    const lines = terminal.out.join("").split("\n");
    expect(lines[1]).toMatch(/^mail +200 +4\.0 KiB +– +20 +6 +4/);
    expect(lines[2]).toMatch(/^audit +100/);
  });

  it("rates: over the last looks, with the time until nothing is left", () => {
    const rates = new LagRates();
    expect(rates.look("p", { timeMs: 0, settled: 0, unsettled: 1000 })).toBeUndefined();
    expect(rates.look("p", { timeMs: 1000, settled: 200, unsettled: 900 })).toEqual({
      perSecond: 200,
      drainMs: 9000,
    });
    expect(rates.look("p", { timeMs: 2000, settled: 400, unsettled: 1000 })).toEqual({
      perSecond: 200,
      drainMs: undefined,
    });
    // Sought back: more is unsettled than before.
    expect(rates.look("p", { timeMs: 3000, settled: 0, unsettled: 2000 })?.perSecond).toBe(0);
    expect(rates.look("other", { timeMs: 3000, settled: 0, unsettled: 0 })).toBeUndefined();
  });

  it("rates: of several subjects; one that is not seen for a while moves nothing", () => {
    const rates = new LagRates();
    const at = (timeMs: number, ...settled: number[]): ReturnType<LagRates["lookAtAll"]> =>
      rates.lookAtAll(
        settled.map((count, index) => {
          return [`p${index}`, { timeMs, settled: count, unsettled: 1_000_000 - count }];
        }),
      );
    expect(at(0, 10, 500_000)).toBeUndefined();
    expect(at(1000, 30, 500_100)).toMatchObject({ perSecond: 120 });
    // Its leader was killed, and nobody has told yet.
    expect(at(2000, 50)).toMatchObject({ perSecond: 20 });
    const again = at(3000, 70, 500_300);
    expect(again?.perSecond).toBe(120);
    expect(again?.drainMs).toBeCloseTo(((999_930 + 499_700) / 120) * 1000, 3);
  });

  it("of all: one that is deleted meanwhile is left out; of one by name it is an error", async () => {
    const gone = new BrokerError("UNKNOWN_SUBSCRIPTION", "gone");
    const seen = { partitions: [PROGRESS], unknown: [] };
    const { error, terminal } = await run("lag", {
      subscriptions: [SUBSCRIPTION, { ...SUBSCRIPTION, name: "audit" }],
      progress: [gone, seen],
    });
    expect(error).toBeUndefined();
    const lines = terminal.out.join("");
    expect(lines).toContain("audit");
    expect(lines).not.toContain("mail");
    expect((await run("lag mail", { progress: [gone] })).error).toBe(gone);
    const broken = new BrokerError("UNREACHABLE", "no broker answers");
    expect((await run("lag", { progress: [broken] })).error).toBe(broken);
  });

  it.each([
    [0, "0 ms"],
    [999, "999 ms"],
    [1500, "1.5 s"],
    [42_000, "42 s"],
    [60_000, "1 min"],
    [3_725_000, "1 h 2 min"],
    [90_000_000, "1 d 1 h"],
  ])("durations: %d ms is %s", (ms, text) => {
    expect(humanDuration(ms)).toBe(text);
  });
});
