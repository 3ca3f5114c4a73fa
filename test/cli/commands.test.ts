// Commands end to end, from the command line's words to what is written, on a fake client.
import { Readable } from "node:stream";
import { CommanderError } from "commander";
import { describe, expect, it } from "vitest";
import { produce } from "../../src/cli/commands/produce.ts";
import { BrokerError } from "../../src/model/errors.ts";
import {
  type FakeOptions,
  fakeClient,
  fakeContext,
  message,
  type Run,
  recorder,
  run,
} from "./support.ts";

describe("cli: topics", () => {
  it("create: options become settings", async () => {
    const { client, error, terminal } = await run(
      "topic create orders -p 6 -r 3 --acks all --flush sync --set minAcks=all",
    );
    expect(error).toBeUndefined();
    expect(client.calls).toEqual([
      {
        create: {
          name: "orders",
          partitions: 6,
          replicationFactor: 3,
          settings: { minAcks: "all", acks: "all", flush: "sync" },
          validateOnly: false,
        },
      },
    ]);
    expect(terminal.talk[0]).toMatch(/^created orders/);
    expect(client.isClosed).toBe(true);
  });

  it("list and describe: tables for people, JSON for programs, global options in any place", async () => {
    const table = (await run("topic list")).terminal.out.join("");
    expect(table).toMatch(/TOPIC +PARTITIONS/);
    expect(table).toMatch(/orders +6 +3 +all\/sync/);
    const json = (await run("topic list -o json")).terminal.out.join("");
    expect(JSON.parse(json)).toMatchObject([{ name: "orders", partitions: 6 }]);
    const described = (await run("-o table topic describe orders")).terminal.out.join("");
    expect(described).toMatch(/2,1,3 +1,2 +3 +0 +1234 +1\.5 MiB/);
    expect(described).toMatch(/flush +sync +default/);
  });

  it("describe: what nobody tells is marked, not shown as 0, and left out of JSON", async () => {
    const unknown = {
      inSync: [],
      logStartOffset: undefined,
      highWatermark: undefined,
      bytes: undefined,
    };
    const table = await run("topic describe orders", { partition: unknown });
    expect(table.terminal.out.join("")).toMatch(/2,1,3 +\? +3 +\? +\? +\?/);
    const json = await run("topic describe orders -o json", { partition: unknown });
    const { partitions } = JSON.parse(json.terminal.out.join("")) as { partitions: object[] };
    expect(partitions[0]).not.toHaveProperty("logStartOffset");
    expect(partitions[0]).not.toHaveProperty("highWatermark");
    expect(partitions[0]).not.toHaveProperty("bytes");
    expect(partitions[0]).toHaveProperty("leaderId", 2);
  });

  it("alter and delete: need something to do and a clear yes", async () => {
    expect(String((await run("topic alter orders")).error)).toContain("nothing to change");
    expect((await run("topic alter orders --set flush=async")).client.calls).toEqual([
      { alter: "orders", settings: { flush: "async" } },
    ]);
    const asked = await run("topic delete orders");
    expect(String(asked.error)).toContain("for good");
    expect(asked.client.calls).toEqual([]);
    expect((await run("topic delete orders --yes")).client.calls).toEqual([{ delete: "orders" }]);
  });
});

describe("cli: consume", () => {
  const messages = [message(0), message(1), message(2)];

  it("format and count", async () => {
    const { client, terminal } = await run(
      "consume orders --from earliest -n 2 --format %p/%o:%v;",
      { messages },
    );
    expect(terminal.out.join("")).toBe("3/0:value 0;3/1:value 1;");
    expect(client.wishes[0]).toMatchObject({
      topic: "orders",
      from: { kind: "earliest" },
      follow: false,
    });
  });

  it("latest follows by itself; partitions collect", async () => {
    const { client } = await run("consume orders --partition 1 --partition 4");
    expect(client.wishes[0]).toMatchObject({
      partitions: [1, 4],
      from: { kind: "latest" },
      follow: true,
    });
  });

  it("json: one line per message", async () => {
    const { terminal } = await run("consume orders --from 0 -o json", { messages });
    const lines = terminal.out.join("").trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { offset: number }).offset)).toEqual([0, 1, 2]);
  });
});

describe("cli: consume --subscription", () => {
  const messages = [message(0), message(1), message(2)];

  it("format, count and concurrency", async () => {
    const { client, terminal } = await run(
      "consume --subscription billing -n 2 --concurrency 3 --format %o:%v/%a;",
      { messages },
    );
    expect(terminal.out.join("")).toBe("0:value 0/2;1:value 1/2;");
    expect(client.wishes[0]).toMatchObject({
      subscription: "billing",
      concurrency: 3,
      isAcked: true,
      countMax: 2,
    });
  });

  it("ack none: is bounded; json says the attempt", async () => {
    const { client, terminal } = await run("consume --subscription s --ack none -o json", {
      messages,
    });
    expect(client.wishes[0]).toMatchObject({ isAcked: false, countMax: 10_000 });
    expect(JSON.parse(terminal.out.join("").split("\n")[0] ?? "")).toMatchObject({ attempt: 2 });
    const { error } = await run("consume --subscription s --ack none -n 20000");
    expect(String(error)).toContain("at most 10000");
  });

  it.each([
    ["consume", "name a topic"],
    ["consume orders --subscription s", "not both"],
    ["consume --subscription s --from earliest", "--from is of topics"],
    ["consume orders --ack none", "needs --subscription"],
    ["consume --subscription s --ack none --concurrency 2", "leave it out with --ack none"],
    ["consume orders --concurrency 2", "needs --subscription"],
  ])("%s: is refused", async (line, text) => {
    const { client, error } = await run(line);
    expect(String(error)).toContain(text);
    expect(client.wishes).toEqual([]);
  });
});

describe("cli: produce", () => {
  const base = { output: "table", timeout: "30s", header: [] } as const;

  async function send(input: string, options: object, fake: FakeOptions = {}): Promise<Run> {
    const terminal = recorder();
    const client = fakeClient(fake);
    let error: unknown;
    try {
      await produce(
        "orders",
        { ...base, ...options },
        fakeContext(client, terminal),
        Readable.from([input]),
      );
    } catch (thrown) {
      error = thrown;
    }
    return { terminal, client, error, help: "" };
  }

  it("lines: key before the separator, headers on each, order kept", async () => {
    const header = [{ name: "source", value: "shop" }];
    const { client, terminal } = await send("a:1\nb:2:3\nplain\n", { keySeparator: ":", header });
    expect(client.sent.map(({ key, value }) => [key?.toString(), value?.toString()])).toEqual([
      ["a", "1"],
      ["b", "2:3"],
      [undefined, "plain"],
    ]);
    expect(client.sent[0]?.headers).toEqual([{ name: "source", value: Buffer.from("shop") }]);
    expect(terminal.talk).toEqual(["orders: 3 sent, 3 acknowledged"]);
  });

  it("receipts and tombstones", async () => {
    const { client, terminal } = await send("k:\n", {
      keySeparator: ":",
      tombstones: true,
      receipts: true,
    });
    expect(client.sent[0]?.value).toBeUndefined();
    expect(terminal.out).toEqual(["partition 0  offset 0  all/sync\n"]);
  });

  it("large lines: the next one waits until the producer has room", async () => {
    const line = "x".repeat(40_000);
    const input = `${Array.from({ length: 10 }, () => line).join("\n")}\n`;
    const { client, error, terminal } = await send(input, {}, { bufferBytesMax: 100_000 });
    expect(error).toBeUndefined();
    expect(client.sent).toHaveLength(10);
    expect(terminal.talk).toEqual(["orders: 10 sent, 10 acknowledged"]);
  });

  it("failure: counts what arrived, exits by the first error, closes the client", async () => {
    const failSend = (position: number): Error | undefined =>
      position === 1 ? new BrokerError("NOT_ENOUGH_REPLICAS", "no majority") : undefined;
    const { client, error, terminal } = await send("1\n2\n3\n", {}, { failSend });
    expect(error).toMatchObject({ exitCode: 75, message: "no majority (NOT_ENOUGH_REPLICAS)" });
    expect(terminal.talk[0]).toMatch(/acknowledged, 1 failed$/);
    expect(client.isClosed).toBe(true);
  });
});

describe("cli: help and mistakes", () => {
  it("help: every command explains itself, with examples at the top", async () => {
    const { error, help } = await run("--help");
    expect((error as CommanderError).code).toBe("commander.helpDisplayed");
    for (const word of [
      "broker",
      "cluster",
      "topic",
      "produce",
      "consume",
      "flotilla cluster up --init",
    ]) {
      expect(help).toContain(word);
    }
    expect((await run("produce --help")).help).toContain("--key-separator");
    expect((await run("cluster --help")).help).toMatch(/init|up|status|down|kill|restart/);
  });

  it("typing errors: a suggestion for commands and options", async () => {
    const command = await run("topc list");
    expect(command.error).toBeInstanceOf(CommanderError);
    expect(command.help).toContain("Did you mean topic?");
    expect((await run("topic crate x")).help).toContain("Did you mean create?");
    expect((await run("produce x --rat 5")).help).toContain("Did you mean --rate?");
  });

  it.each([
    ["topic create x -p 0", /--partitions must be a whole number 1 to 4096/],
    ["produce x --acks most", /Allowed choices are all, leader, none/],
    ["cluster kill zwei", /must be a whole number 1 to 4095/],
    ["broker", /required option '--node <id>' not specified/],
  ])("values: %s is refused", async (words, expected) => {
    const { error, help } = await run(words);
    expect(error).toBeInstanceOf(CommanderError);
    expect(help).toMatch(expected);
  });
});
