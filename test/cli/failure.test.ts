import { describe, expect, it } from "vitest";
import { EXIT } from "../../src/cli/exit-codes.ts";
import { CliError, describeFailure } from "../../src/cli/failure.ts";
import { ConfigError } from "../../src/config/config-error.ts";
import { StorageError } from "../../src/log/ports.ts";
import { BrokerError, ERROR_TABLE, type ErrorReason } from "../../src/model/errors.ts";

const REASONS = Object.keys(ERROR_TABLE) as ErrorReason[];

describe("failure", () => {
  it.each(REASONS)("%s: one line, an exit status that fits the retry advice", (reason) => {
    const failure = describeFailure(new BrokerError(reason, "it did\nnot work."));
    expect(failure.message).toBe(`it did not work (${reason})`);
    expect(failure.advice).not.toContain("\n");
    // "Try again" must never be said where the table says that it cannot help.
    if (failure.exitCode === EXIT.TRY_AGAIN) expect(ERROR_TABLE[reason].retry).not.toBe("never");
    expect([0, 78].includes(failure.exitCode) && reason !== "CLUSTER_MISMATCH").toBe(false);
  });

  it.each([
    [new CliError(EXIT.USAGE, "a", "b"), 64, "a"],
    [
      new ConfigError([{ where: "c.yaml:1:1", key: "x", message: "bad" }]),
      78,
      "c.yaml:1:1: x: bad",
    ],
    [new StorageError("missing", "node.json", "not formatted"), 78, "node.json: not formatted"],
    [new StorageError("full", "x", "no space"), 75, "x: no space"],
    [
      Object.assign(new Error("listen EADDRINUSE"), { code: "EADDRINUSE" }),
      78,
      "listen EADDRINUSE",
    ],
    [new TypeError("x is undefined"), 70, "unexpected: x is undefined"],
    ["text", 70, "text"],
  ])("%s: exits with %i", (error, exitCode, text) => {
    const failure = describeFailure(error);
    expect(failure.exitCode).toBe(exitCode);
    expect(failure.message).toBe(text);
  });
});
