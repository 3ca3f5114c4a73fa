import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { BrokerError } from "../../src/model/errors.ts";
import { createLogger, type LogLevel, type RootLogger } from "../../src/observe/logger.ts";

function recorder(level: LogLevel): { logger: RootLogger; lines: () => Record<string, unknown>[] } {
  const written: string[] = [];
  const stream = { write: (line: string): void => void written.push(line) };
  const logger = createLogger({ level, fields: { cluster: "test", nodeId: 2 }, stream });
  return {
    logger,
    lines: () => written.map((line) => JSON.parse(line) as Record<string, unknown>),
  };
}

describe("logger", () => {
  it("line: carries level, time, the process's fields, the event's fields and the message", () => {
    const { logger, lines } = recorder("info");
    logger.info({ groupId: 3, term: 5 }, "became leader");
    expect(lines()).toEqual([
      {
        level: "info",
        time: expect.stringMatching(/^\d{4}-.*Z$/) as string,
        cluster: "test",
        nodeId: 2,
        groupId: 3,
        term: 5,
        message: "became leader",
      },
    ]);
  });

  it("level: what is less severe is not written", () => {
    const { logger, lines } = recorder("warn");
    logger.debug({}, "a");
    logger.info({}, "b");
    logger.warn({}, "c");
    logger.error({}, "d");
    expect(lines().map((line) => line["message"])).toEqual(["c", "d"]);
  });

  it("node id: stands on the line once, also when the event names it", () => {
    const written: string[] = [];
    const stream = { write: (line: string): void => void written.push(line) };
    createLogger({ level: "info", nodeId: 2, stream }).info({ nodeId: 2, term: 1 }, "elected");
    expect(written[0]?.split('"nodeId"')).toHaveLength(2);
    expect(JSON.parse(written[0] ?? "")).toMatchObject({ nodeId: 2, term: 1 });
  });

  it("child: adds fields", () => {
    const { logger, lines } = recorder("debug");
    logger.child({ topic: "orders", partition: 1 }).debug({ offset: 7 }, "fetched");
    expect(lines()[0]).toMatchObject({ nodeId: 2, topic: "orders", partition: 1, offset: 7 });
  });

  it("error: reason, fields, stack and cause survive", () => {
    const { logger, lines } = recorder("info");
    const cause = new Error("disk gone");
    logger.error(
      { error: new BrokerError("STORAGE_FAILED", "flush failed", { path: "x" }, { cause }) },
      "stopped",
    );
    expect(lines()[0]?.["error"]).toMatchObject({
      reason: "STORAGE_FAILED",
      fields: { path: "x" },
      cause: { message: "disk gone" },
    });
  });

  it("file: makes its folder and holds the lines after flush()", async () => {
    const folder = mkdtempSync(join(tmpdir(), "flotilla-log-"));
    try {
      const file = join(folder, "logs", "node-1.log");
      const logger = createLogger({ level: "info", fields: {}, file });
      logger.info({ nodeId: 1 }, "started");
      // The file opens asynchronously; flush() writes only once it is open.
      const content = (): string => {
        logger.flush();
        return readFileSync(file, "utf8");
      };
      await expect.poll(content).toContain('"message":"started"');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
