// What help texts promise: examples that can be copied as they stand.
import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { buildProgram } from "../../src/cli/program.ts";
import { fakeClient, fakeContext, recorder } from "./support.ts";

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({
    writeOut: (more) => {
      text += more;
    },
  });
  command.outputHelp();
  return text;
}

function commandsOf(command: Command): Command[] {
  return [command, ...command.commands.flatMap(commandsOf)];
}

function examplesOf(command: Command): string[] {
  return helpOf(command)
    .split("\n")
    .filter((line) => /^\s+\$ /.test(line));
}

const program = buildProgram("1.2.3", fakeContext(fakeClient(), recorder()));

describe("cli: help", () => {
  it.each(
    commandsOf(program)
      .filter((command) => examplesOf(command).length > 0)
      .map((command) => [command.name(), examplesOf(command)] as const),
  )("%s: no example is broken inside of quotes", (_, examples) => {
    for (const example of examples) {
      const [, typed = ""] = example.split("$ ");
      expect(typed.replace(/'[^']*'|"[^"]*"/g, ""), example).not.toMatch(/['"]/);
    }
  });

  it("consume: says that a look without taking ends, and after how many", () => {
    const consume = commandsOf(program).find((command) => command.name() === "consume");
    expect(consume === undefined ? "" : helpOf(consume)).toContain("10000 messages");
  });
});
