import { describe, expect, it } from "vitest";
import { bootstrapOf, type GlobalOptions } from "../../src/cli/context.ts";
import { CliError } from "../../src/cli/failure.ts";
import {
  collectHeader,
  collectSetting,
  parseBootstrap,
  parseFrom,
  parseSignal,
  parseTimeout,
  parseWhole,
} from "../../src/cli/options.ts";
import { loadConfig } from "../../src/config/load-config.ts";

const NOW = 1_700_000_000_000;

describe("options", () => {
  it.each([
    ["earliest", { kind: "earliest" }],
    ["latest", { kind: "latest" }],
    ["47", { kind: "offset", offset: 47 }],
    ["@1700000000000", { kind: "time", timeMs: 1_700_000_000_000 }],
    ["@-5m", { kind: "time", timeMs: NOW - 300_000 }],
    ["@2023-11-14T22:13:20Z", { kind: "time", timeMs: 1_700_000_000_000 }],
  ])("from: understands %s", (text, expected) => {
    expect(parseFrom(text, NOW)).toEqual(expected);
  });

  it.each(["", "first", "-1", "@", "@-5", "@yesterday", "99999999999999999999"])(
    "from: refuses %j",
    (text) => {
      expect(() => parseFrom(text, NOW)).toThrow(CliError);
    },
  );

  it("lists: headers and settings collect; a value may hold '='", () => {
    expect(collectHeader("a=b=c", collectHeader("x=", []))).toEqual([
      { name: "x", value: "" },
      { name: "a", value: "b=c" },
    ]);
    expect(collectSetting("flush=", { acks: "all" })).toEqual({ acks: "all", flush: "" });
    expect(() => collectSetting("acks=all", { acks: "all" })).toThrow(/given twice/);
    expect(() => collectHeader("=x", [])).toThrow(/name=value/);
  });

  it("numbers, durations and signals: refuse what is out of range or unknown", () => {
    expect(parseWhole("-p", 1, 10)("10")).toBe(10);
    for (const text of ["0", "11", "1.5", "x", ""])
      expect(() => parseWhole("-p", 1, 10)(text)).toThrow(/1 to 10/);
    expect(parseTimeout("1.5s")).toBe(1500);
    expect(() => parseTimeout("5")).toThrow(/no unit/);
    expect(parseSignal("kill")).toBe("SIGKILL");
    expect(parseSignal("SIGSTOP")).toBe("SIGSTOP");
    expect(() => parseSignal("HUP")).toThrow(/must be one of/);
  });

  it("bootstrap: a list of host:port", () => {
    expect(parseBootstrap("a:1, [::1]:2,")).toEqual(["a:1", "[::1]:2"]);
    for (const text of ["", "a", "a:b", "a:1,b"])
      expect(() => parseBootstrap(text)).toThrow(/host:port/);
  });
});

describe("context: where the brokers are", () => {
  const options: GlobalOptions = { output: "table", timeout: "30s" };
  const context = {
    environment: {},
    loadConfig: (path: string) => Promise.resolve().then(() => loadConfig(path)),
  };
  const shipped = new URL("../../cluster.yaml", import.meta.url).pathname;

  it("order: option, then environment, then the configuration's nodes", async () => {
    const environment = { FLOTILLA_BOOTSTRAP: "env:1", FLOTILLA_CONFIG: shipped };
    expect(
      await bootstrapOf({ ...options, bootstrap: "opt:1" }, { ...context, environment }),
    ).toEqual(["opt:1"]);
    expect(await bootstrapOf(options, { ...context, environment })).toEqual(["env:1"]);
    expect(
      await bootstrapOf(options, { ...context, environment: { FLOTILLA_CONFIG: shipped } }),
    ).toEqual(["127.0.0.1:7101", "127.0.0.1:7102", "127.0.0.1:7103"]);
  });

  it("nothing known: says what to give; a named file that is missing is the error itself", async () => {
    const nowhere = { ...context, loadConfig: () => context.loadConfig("/nowhere/cluster.yaml") };
    await expect(bootstrapOf(options, nowhere)).rejects.toThrow("no broker address is known");
    await expect(bootstrapOf({ ...options, config: "/nowhere/x.yaml" }, context)).rejects.toThrow(
      /no such file/,
    );
  });
});
