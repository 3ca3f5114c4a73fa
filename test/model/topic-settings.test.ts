import { describe, expect, it } from "vitest";
import type { BrokerError } from "../../src/model/errors.ts";
import {
  describeTopicSettings,
  parseTopicSettings,
  TOPIC_SETTINGS,
} from "../../src/model/topic-settings.ts";

function refusal(texts: Record<string, string>): BrokerError {
  try {
    parseTopicSettings(texts);
  } catch (error) {
    return error as BrokerError;
  }
  throw new Error("not refused");
}

describe("topic settings", () => {
  it("defaults: are the strong ones (nothing set)", () => {
    expect(parseTopicSettings({})).toEqual({
      acks: "all",
      minAcks: "none",
      flush: "sync",
      messageBytesMax: 1024 * 1024,
      retentionMs: 604_800_000,
      retentionBytes: -1,
      retentionAcked: false,
      segmentBytes: 134_217_728,
    });
  });

  it("values: are parsed by the table (texts)", () => {
    const parsed = parseTopicSettings({
      flush: "async",
      "retention.ms": "-1",
      "min.acks": "leader",
      "retention.acked": "true",
    });
    expect(parsed).toMatchObject({
      flush: "async",
      retentionMs: -1,
      minAcks: "leader",
      retentionAcked: true,
    });
  });

  it("refusal: names setting and limit (range, word, no number)", () => {
    const bad: readonly [string, string][] = [
      ["flush", "often"],
      ["retention.acked", "yes"],
      ["retention.ms", "-2"],
      ["retention.ms", "1.5"],
      ["retention.ms", "7d"],
      ["segment.bytes", "1"],
      ["acks", ""],
    ];
    for (const [name, value] of bad) {
      const error = refusal({ [name]: value });
      expect(error.reason).toBe("INVALID_REQUEST");
      expect(error.fields["field"]).toBe(`settings.${name}`);
      expect(error.fields["limit"]).toBeDefined();
    }
  });

  it("refusal: suggests a similar name (unknown settings)", () => {
    expect(refusal({ "retention-ms": "1" }).message).toContain('"retention.ms"');
    expect(refusal({ minAcks: "all" }).message).toContain('"min.acks"');
    expect(refusal({ colour: "red" }).reason).toBe("INVALID_REQUEST");
  });

  it("description: lists every setting and what was not set (one set)", () => {
    const rows = describeTopicSettings({ flush: "async" });
    expect(rows).toHaveLength(TOPIC_SETTINGS.length);
    expect(rows.filter((row) => !row.isDefault)).toEqual([
      { name: "flush", value: "async", isDefault: false },
    ]);
  });
});
