import { describe, expect, it } from "vitest";
import { compileFormat, formatJsonLine } from "../../src/cli/message-format.ts";
import { message } from "./support.ts";

const text = (template: string, fields = {}): string =>
  compileFormat(template)(message(5, fields)).toString("utf8");

describe("message-format", () => {
  it("template: fields, escapes and other text", () => {
    expect(text("%t %p %o %k %v %h %e %T 100%%\\t\\n")).toBe(
      "orders 3 5 k1 value 5 source=shop 7 1700000000000 100%\t\n",
    );
  });

  it("template: missing key and tombstone are empty, bytes pass unchanged", () => {
    expect(text("[%k][%v]", { key: undefined, value: undefined })).toBe("[][]");
    const value = Buffer.from([0, 255, 10]);
    expect(compileFormat("%v")(message(0, { value }))).toEqual(value);
  });

  it.each(["%x", "%", "a%"])("template: refuses %j", (template) => {
    expect(() => compileFormat(template)).toThrow(/unknown field/);
  });

  it("json: text where it is UTF-8, base64 where not, null for none", () => {
    const line = formatJsonLine(message(5, { key: undefined, value: Buffer.from([255]) })).toString(
      "utf8",
    );
    expect(line.endsWith("\n")).toBe(true);
    expect(JSON.parse(line)).toEqual({
      topic: "orders",
      partition: 3,
      offset: 5,
      leaderEpoch: 7,
      timestampMs: 1_700_000_000_000,
      key: null,
      valueBase64: "/w==",
      headers: [{ name: "source", value: "shop" }],
    });
  });
});
