import { describe, expect, it } from "vitest";
import { BrokerError } from "../../src/model/errors.ts";
import { checkTopicName, topicNameProblem } from "../../src/model/topic-name.ts";

describe("topic name", () => {
  it("allowed: letters, digits, marks and namespaces (up to 200 characters)", () => {
    for (const name of ["a", "orders", "shop/eu/orders-1.v2_x", "a..b", "x".repeat(200), "_a"]) {
      expect(topicNameProblem(name)).toBeUndefined();
    }
  });

  it("refused: says which rule (each rule)", () => {
    const names = [
      "",
      "x".repeat(201),
      "/a",
      "a/",
      "a//b",
      ".",
      "a/../b",
      "a/.",
      "__own",
      "a b",
      "ü",
      "a\n",
    ];
    for (const name of names) expect(topicNameProblem(name), JSON.stringify(name)).toBeDefined();
  });

  it("check: throws INVALID_REQUEST with field and limit (bad name)", () => {
    try {
      checkTopicName("a//b", "topic");
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(BrokerError);
      expect((error as BrokerError).reason).toBe("INVALID_REQUEST");
      expect((error as BrokerError).fields).toMatchObject({
        field: "topic",
        limit: expect.any(String) as string,
      });
    }
  });
});
