import { describe, expect, it } from "vitest";
import { planAttachments } from "../../src/delivery/attach-plan.ts";
import { rowOf } from "./support.ts";

describe("attach plan", () => {
  it("new: attached; what is attached already is left alone", () => {
    const [one, two] = [rowOf({ id: "one", version: 3 }), rowOf({ id: "two", version: 4 })];
    const plan = planAttachments([one, two], [{ id: "one", version: 3 }], 9);
    expect(plan).toEqual({ attach: [two], detach: [] });
  });

  it("gone: detached, but not by an image that is older than the attachment", () => {
    const attached = [{ id: "one", version: 7 }];
    expect(planAttachments([], attached, 6)).toEqual({ attach: [], detach: [] });
    expect(planAttachments([], attached, 7)).toEqual({ attach: [], detach: ["one"] });
  });

  it("altered: the newer version is noted, an older one is not", () => {
    const row = rowOf({ id: "one", version: 8 });
    expect(planAttachments([row], [{ id: "one", version: 7 }], 8).attach).toEqual([row]);
    expect(planAttachments([row], [{ id: "one", version: 9 }], 8).attach).toEqual([]);
  });
});
