// npm run bench -- <subject> [options]: starts its own three brokers, runs one load, ends with one JSON line (--json) or a
// small table. Rates count acknowledged messages; latencies begin at the intended send time (no coordinated omission).
import { Command, InvalidArgumentError, Option } from "commander";
import { availableMemory } from "../src/broker/process-memory.ts";
import { letHeapGrow } from "../src/cli/heap.ts";
import { defaultMemoryBudget } from "../src/model/memory-budget.ts";
import { benchCrowd } from "./cluster/crowd.ts";
import { benchDeliver } from "./cluster/deliver.ts";
import { benchDeliverLatency } from "./cluster/deliver-latency.ts";
import { benchFailover } from "./cluster/failover.ts";
import { benchFetch } from "./cluster/fetch.ts";
import { benchFixedRate } from "./cluster/fixed-rate.ts";
import { benchLongBacklog } from "./cluster/long-backlog.ts";
import { benchOneAtATime } from "./cluster/one-at-a-time.ts";
import type { BenchOptions } from "./cluster/options.ts";
import { benchProduce } from "./cluster/produce.ts";
import { printResult } from "./cluster/report.ts";

const subjects = {
  produce: {
    run: benchProduce,
    about: "as many acknowledged messages as possible, then read back",
  },
  "one-at-a-time": { run: benchOneAtATime, about: "each send awaited before the next: latency" },
  "fixed-rate": { run: benchFixedRate, about: "open loop at --rate messages a second: latency" },
  fetch: { run: benchFetch, about: "replay of a backlog" },
  deliver: { run: benchDeliver, about: "a subscription's backlog, every message acknowledged" },
  "deliver-latency": {
    run: benchDeliverLatency,
    about: "an idle subscription: from the send to the handler",
  },
  "long-backlog": {
    run: benchLongBacklog,
    about: "a backlog is drained behind one unacknowledged message, beside steady sends",
  },
  crowd: {
    run: benchCrowd,
    about: "very many consumers of one subscription: cost while idle, shares of a backlog",
  },
  failover: { run: benchFailover, about: "SIGKILL of leaders: pause of acknowledgements" },
} as const;

const program = new Command("bench").description("Load generator of Flotilla").showHelpAfterError();
/** A crowd's consumers take 50 ms for each message, 1000 of them a few seconds for these. */
const CROWD_MESSAGES = 100_000;
const MESSAGES = 3_000_000;

for (const [name, { run, about }] of Object.entries(subjects)) {
  program
    .command(name)
    .description(about)
    .addOption(new Option("--acks <acks>").choices(["all", "leader", "none"]).default("all"))
    .addOption(new Option("--flush <flush>").choices(["sync", "async"]).default("sync"))
    .option("--size <bytes>", "message value, bytes", positive, 124)
    .option("--partitions <count>", "partitions of the topic", positive, 6)
    .option("--seconds <seconds>", "length of the measured load", positive, 10)
    .option("--rate <perSecond>", "fixed-rate, long-backlog: messages a second", positive, 20_000)
    .option("--keys <count>", "distinct keys", positive, 1000)
    .addOption(
      new Option("--mode <mode>", "deliver: of the subscription")
        .choices(["shared", "keyed", "fifo", "exclusive"])
        .default("shared"),
    )
    .option(
      "--messages <count>",
      "deliver, long-backlog, crowd: length of the backlog",
      positive,
      name === "crowd" ? CROWD_MESSAGES : MESSAGES,
    )
    .option("--consumers <count>", "crowd: consumers of the subscription", positive, 1000)
    .option("--rounds <count>", "failover: leaders killed", positive, 5)
    .option("--no-verify", "produce: skip reading everything back")
    .option("--directory <path>", "where the brokers keep their data (default: temporary)")
    .option("--broker-flag <flag>", "Node.js or V8 flag of the brokers; may be repeated", collect)
    .option("--json", "one JSON line at the end", false)
    .action(async (options: BenchOptions) => {
      const result = await run(options);
      printResult(name, options, result);
      if (result["verified"] === false) process.exitCode = 1;
    });
}
// As src/client/README.md advises programs that send in bulk.
letHeapGrow(defaultMemoryBudget(availableMemory()));
await program.parseAsync();

function collect(flag: string, earlier: readonly string[] = []): string[] {
  return [...earlier, flag];
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError("a positive number");
  return value;
}
