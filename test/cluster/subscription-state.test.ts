import { describe, expect, test } from "vitest";
import type { MetadataCommand } from "../../src/cluster/metadata-commands.ts";
import { type MetadataDelta, MetadataView } from "../../src/cluster/metadata-image.ts";
import type { MetadataReply } from "../../src/cluster/metadata-reply.ts";
import { MetadataState } from "../../src/cluster/metadata-state.ts";
import { SUBSCRIPTION_LIMITS } from "../../src/model/subscription.ts";
import { creation, definition, registration, subscription, topicId } from "./support.ts";

class Subject {
  readonly view = new MetadataView();
  readonly state = new MetadataState(this.view);
  readonly deltas: MetadataDelta[] = [];
  index = 0;
  constructor() {
    this.view.onChange((_, delta) => this.deltas.push(delta));
    this.apply(registration(1));
  }
  apply(command: MetadataCommand): MetadataReply {
    this.index += 1;
    return this.state.applyCommand(command, this.index).reply;
  }
  wanting(topic: string): string[] {
    const { image } = this.view;
    const id = image.topicByName(topic)?.topicId ?? topicId("none");
    return image.subscriptionsOf(id).map((row) => row.definition.name);
  }
}

const patterns = (...list: string[]) => ({ topics: { kind: "patterns", patterns: list } }) as const;
const deleted = (name: string): MetadataCommand => ({
  type: "delete-subscription",
  subscriptionId: `id-of-${name}`,
});

function altered(name: string, fields: object, version = 0): MetadataCommand {
  return {
    type: "alter-subscription",
    subscriptionId: `id-of-${name}`,
    version,
    definition: definition(name, fields),
  };
}

describe("subscriptions in the metadata", () => {
  test("create: a row by id and name, told to listeners; the same proposal again changes nothing", () => {
    const subject = new Subject();
    const reply = subject.apply(subscription("mail"));
    expect(reply).toEqual({ ok: { subscriptionId: "id-of-mail", version: 2 } });
    const { image } = subject.view;
    expect(image.subscriptionByName("mail")).toEqual({
      subscriptionId: "id-of-mail",
      createdIndex: 2,
      version: 2,
      definition: definition("mail"),
    });
    expect(image.subscriptions.rows.get("id-of-mail")).toBe(image.subscriptionByName("mail"));
    expect(image.version).toBe(2);
    expect(subject.deltas.at(-1)?.subscriptions).toEqual(["id-of-mail"]);
    expect(subject.apply(subscription("mail"))).toEqual(reply);
    expect(subject.view.image).toBe(image);
  });

  test("create: taken names and used ids are refused", () => {
    const subject = new Subject();
    subject.apply(subscription("mail"));
    const other = { ...subscription("mail"), subscriptionId: "other" };
    expect(subject.apply(other)).toMatchObject({
      error: { reason: "SUBSCRIPTION_EXISTS", fields: { subscription: "mail" } },
    });
    const renamed = { ...subscription("post"), subscriptionId: "id-of-mail" };
    expect(subject.apply(renamed)).toMatchObject({ error: { reason: "INVALID_REQUEST" } });
  });

  test("create: the cluster's limit", () => {
    const subject = new Subject();
    const state = new MetadataState(new MetadataView());
    state.restore(
      Array.from({ length: SUBSCRIPTION_LIMITS.subscriptions }, (_, at) => {
        const row = { v: 1, subscriptionId: `s${at}`, createdIndex: at + 1, version: at + 1 };
        const text = JSON.stringify({ ...row, definition: definition(`s${at}`) });
        return [`subscription/s${at}`, Buffer.from(text)] as const;
      }),
    );
    expect(state.applyCommand(subscription("one-more"), 20_000).reply).toMatchObject({
      error: { reason: "OVERLOADED", fields: { limit: "subscriptions" } },
    });
    expect(subject.apply(subscription("one-more"))).toHaveProperty("ok");
  });

  test("alter: a new version; only over the version that is named", () => {
    const subject = new Subject();
    subject.apply(subscription("mail"));
    expect(subject.apply(altered("mail", { ackDeadlineMs: 2000 }, 2))).toEqual({
      ok: { subscriptionId: "id-of-mail", version: 3 },
    });
    expect(subject.view.image.subscriptionByName("mail")).toMatchObject({
      createdIndex: 2,
      version: 3,
      definition: { ackDeadlineMs: 2000 },
    });
    expect(subject.apply(altered("mail", { ackDeadlineMs: 3000 }, 2))).toMatchObject({
      error: { reason: "VERSION_CONFLICT", fields: { subscription: "mail", version: 3 } },
    });
    expect(subject.apply(altered("mail", { ackDeadlineMs: 3000 }))).toHaveProperty("ok");
  });

  test("alter: a repeated proposal finds its own work (the version that it names is over)", () => {
    const subject = new Subject();
    subject.apply(subscription("mail"));
    const change = altered("mail", { ackDeadlineMs: 2000 }, 2);
    const reply = subject.apply(change);
    expect(subject.apply(change)).toEqual(reply);
  });

  test.each([
    ["mode", { mode: "keyed" }],
    ["start", { start: { kind: "latest" } }],
    ["name", { name: "post" }],
  ])("alter: the %s stays", (field, fields) => {
    const subject = new Subject();
    subject.apply(subscription("mail"));
    expect(subject.apply(altered("mail", fields))).toMatchObject({
      error: { reason: "INVALID_REQUEST", fields: { field } },
    });
  });

  test("delete: the name is free again; what is not there is unknown", () => {
    const subject = new Subject();
    subject.apply(subscription("mail"));
    expect(subject.apply(deleted("mail"))).toHaveProperty("ok");
    expect(subject.deltas.at(-1)?.subscriptions).toEqual(["id-of-mail"]);
    expect(subject.view.image.subscriptionByName("mail")).toBeUndefined();
    for (const command of [deleted("mail"), altered("mail", {})]) {
      expect(subject.apply(command)).toMatchObject({ error: { reason: "UNKNOWN_SUBSCRIPTION" } });
    }
    expect(subject.apply({ ...subscription("mail"), subscriptionId: "new" })).toHaveProperty("ok");
  });

  test("topics: who wants which, the oldest first, later topics too", () => {
    const subject = new Subject();
    subject.apply(subscription("z-first", patterns("shop/#")));
    subject.apply(subscription("by-name", { topics: { kind: "names", names: ["shop/a"] } }));
    subject.apply(subscription("by-regex", { topics: { kind: "regex", regex: "shop/[ab]" } }));
    subject.apply(subscription("elsewhere"));
    for (const name of ["shop/a", "shop/b", "shop/c", "orders"]) subject.apply(creation(name));
    expect(subject.wanting("shop/a")).toEqual(["z-first", "by-name", "by-regex"]);
    expect(subject.wanting("shop/b")).toEqual(["z-first", "by-regex"]);
    expect(subject.wanting("shop/c")).toEqual(["z-first"]);
    expect(subject.wanting("orders")).toEqual(["elsewhere"]);
    const { image } = subject.view;
    const row = image.subscriptionByName("by-regex");
    expect(row === undefined ? [] : image.topicsOf(row).map(({ name }) => name)).toEqual([
      "shop/a",
      "shop/b",
    ]);
  });

  test("topics: lists that a change does not touch stay the same objects", () => {
    const subject = new Subject();
    subject.apply(creation("a"));
    subject.apply(creation("b"));
    subject.apply(subscription("one", patterns("a")));
    const lists = () =>
      ["a", "b"].map((name) => subject.view.image.subscriptionsOf(topicId(`id-of-${name}`)));
    const [a, b] = lists();
    subject.apply(creation("c"));
    subject.apply(subscription("two", patterns("b")));
    const [sameA, newB] = lists();
    expect(sameA).toBe(a);
    expect(newB).not.toBe(b);
    subject.apply(altered("one", { ...patterns("b"), ackDeadlineMs: 5000 }));
    expect(subject.wanting("a")).toEqual([]);
    expect(subject.wanting("b")).toEqual(["one", "two"]);
    subject.apply(altered("one", { ...patterns("b"), ackDeadlineMs: 6000 }));
    expect(lists()[1]?.[0]?.definition.ackDeadlineMs).toBe(6000);
    subject.apply(deleted("two"));
    expect(subject.wanting("b")).toEqual(["one"]);
  });

  test("topics: an older image keeps what it knew", () => {
    const subject = new Subject();
    subject.apply(creation("a"));
    subject.apply(subscription("one", patterns("a")));
    const before = subject.view.image;
    subject.apply(deleted("one"));
    expect(before.subscriptionsOf(topicId("id-of-a"))).toHaveLength(1);
    expect(subject.wanting("a")).toEqual([]);
  });
});
