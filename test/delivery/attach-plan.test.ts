import { describe, expect, it } from "vitest";
import { planAttachments, withinLimit } from "../../src/delivery/attach-plan.ts";
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

describe("attach plan, full partition", () => {
  const rows = ["one", "two", "three"].map((id) => rowOf({ id, version: 8 }));

  it("a later topic that more select than a partition takes: the oldest ones, the rest is not proposed", () => {
    const plan = planAttachments(rows, [], 9);
    expect(withinLimit(plan, [], 2).attach).toEqual(rows.slice(0, 2));
    const attached = rows.slice(0, 2).map((row) => ({ id: row.subscriptionId, version: 8 }));
    const next = planAttachments(rows, attached, 9);
    expect(next.attach).toEqual(rows.slice(2));
    expect(withinLimit(next, attached, 2).attach).toEqual([]);
  });

  it("one goes: the next one that waits takes its place", () => {
    const attached = [
      { id: "one", version: 8 },
      { id: "two", version: 8 },
    ];
    const plan = withinLimit(planAttachments(rows.slice(1), attached, 9), attached, 2);
    expect(plan).toEqual({ attach: rows.slice(2), detach: ["one"] });
  });

  it("newer versions of what is attached are noted, room or not", () => {
    const attached = [
      { id: "one", version: 7 },
      { id: "two", version: 7 },
    ];
    const plan = withinLimit(planAttachments(rows, attached, 9), attached, 2);
    expect(plan.attach).toEqual(rows.slice(0, 2));
  });
});
