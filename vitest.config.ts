import { defineConfig } from "vitest/config";

/** These judge what brokers do under load, and use both processors by themselves: nothing else runs beside them. */
const ALONE = ["flood", "members", "restart"].map((name) => `test/integration/${name}.test.ts`);

const INTEGRATION = { testTimeout: 300_000, hookTimeout: 120_000 };

/** Files share their processes: loading and compiling src anew for each took a third of the processor time. */
const SHARED = { maxWorkers: 2, isolate: false };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...SHARED,
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/integration/**", "test/package/**"],
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...SHARED,
          ...INTEGRATION,
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          exclude: ALONE,
          // After the unit tests: clusters that are timed by their elections. Two at a time, since they mostly wait.
          maxConcurrency: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...INTEGRATION,
          name: "integration-alone",
          include: ALONE,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
