#!/usr/bin/env node
// Entry of the `flotilla` command: builds the world for the commands, turns what they throw into one sentence and an
// exit status. Nothing heavy is imported here.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CommanderError } from "commander";
import type { Context } from "./context.ts";
import { bootstrapOf, timeoutOf } from "./context.ts";
import { EXIT, type ExitCode } from "./exit-codes.ts";
import { describeFailure } from "./failure.ts";
import { buildProgram } from "./program.ts";
import { processTerminal, ReaderGone } from "./terminal.ts";

async function main(argv: readonly string[]): Promise<ExitCode> {
  const context = processContext();
  const program = buildProgram(packageVersion(), context);
  exitByThrowing(program);
  try {
    await program.parseAsync([...argv]);
    return EXIT.OK;
  } catch (error) {
    if (error instanceof CommanderError) return commanderExit(error);
    if (error instanceof ReaderGone) return EXIT.OK;
    const failure = describeFailure(error);
    const advice = failure.advice === "" ? "" : `\n  → ${failure.advice}`;
    context.terminal.note(`error: ${failure.message}${advice}`);
    if (program.opts()["debug"] === true) context.terminal.note(stackOf(error));
    return failure.exitCode;
  }
}

function processContext(): Context {
  const abort = new AbortController();
  let isObserved = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      // The second time, whoever asks means it; and a command that never looks at the signal has nothing to finish.
      if (abort.signal.aborted || !isObserved) process.exit(EXIT.FAILED);
      abort.abort(new Error(`stopped by ${signal}`));
    });
  }
  const context: Context = {
    terminal: processTerminal(),
    environment: process.env,
    get signal() {
      isObserved = true;
      return abort.signal;
    },
    async loadConfig(path) {
      const { loadConfig } = await import("../config/load-config.ts");
      return loadConfig(path, process.env);
    },
    async connect(options) {
      const bootstrap = await bootstrapOf(options, context);
      const { connectSdk } = await import("./sdk.ts");
      return connectSdk(bootstrap, timeoutOf(options));
    },
  };
  return context;
}

/** Commander would end the process itself; its subcommands inherit nothing, so each is told. */
function exitByThrowing(command: ReturnType<typeof buildProgram>): void {
  command.exitOverride();
  for (const child of command.commands) exitByThrowing(child);
}

function commanderExit(error: CommanderError): ExitCode {
  const isAnswer = error.code === "commander.helpDisplayed" || error.code === "commander.version";
  return isAnswer ? EXIT.OK : EXIT.USAGE;
}

/** From the package's own package.json: two levels up in src, three in dist. */
function packageVersion(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json")) && dirname(folder) !== folder)
    folder = dirname(folder);
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    version: string;
  };
  return version;
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? "" : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}

// Not process.exit: what is still in the pipes must be written. Idle sockets must not keep the process, though.
const code = await main(process.argv);
process.exitCode = code;
setTimeout(() => process.exit(code), 500).unref();
