// explain() through the SDK: for a settled message the dead letters are asked as well.
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../src/base/random.ts";
import { LETTER_CALLS_MAX } from "../../src/client/dead-letter-search.ts";
import { createClient } from "../../src/client/index.ts";
import type { SubscriptionAdmin } from "../../src/client/subscription-admin.ts";
import { BrokerError } from "../../src/model/errors.ts";
import {
  DeadLetter,
  ExplainResponse,
  type ListDeadLettersRequest,
  ListDeadLettersResponse,
  SubscriptionDefinition,
} from "../../src/rpc/generated/flotilla-v1.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { FakeCluster } from "./fake-cluster.ts";

const MESSAGE = { topic: "orders", partition: 1, offset: 7 };
const DIED_MS = Date.UTC(2026, 0, 2);
const LETTER: Partial<DeadLetter> = {
  offset: 3,
  diedMs: DIED_MS,
  originTopic: "orders",
  originPartition: 1,
  originOffset: 7,
  reason: "rejected",
  error: "no such customer",
  failed: 1,
  attempts: [{ timeMs: DIED_MS - 1, cause: "reject", error: "no such customer" }],
  open: true,
};

/** Brokers that keep a subscription "mail" of the topic "orders" and its letters in two partitions of "dlq/mail". */
class Subject {
  readonly time = new VirtualClock();
  readonly cluster = new FakeCluster(this.time.root);
  readonly admin: SubscriptionAdmin;
  deadLetter = { enabled: true, topic: "dlq/mail" };
  told: Partial<ExplainResponse> = { fate: "settled", sentence: "It is settled.", handedOut: 2 };
  /** By partition of the dead letter topic. */
  letters: readonly Partial<DeadLetter>[][] = [[], []];
  asked: ListDeadLettersRequest[] = [];
  /** One call looks at so many offsets. */
  step = 1000;
  highWatermark = 10;

  constructor() {
    const { bootstrap, connector, handlers } = this.cluster;
    const clock = this.time.fork();
    const client = createClient({ bootstrap, connector, clock, random: seededRandom(2) });
    this.admin = client.admin().subscriptions;
    this.cluster.addTopic("orders", 3);
    this.cluster.addTopic("redrive/mail", 3);
    this.cluster.addTopic("dlq/mail", 2);
    handlers.set("Explain", () => ExplainResponse.create(this.told));
    handlers.set("DescribeSubscription", () => {
      const { deadLetter } = this;
      const definition = SubscriptionDefinition.create({
        name: "mail",
        mode: "shared",
        deadLetter,
      });
      return { subscription: { subscriptionId: "s-1", version: 5, definition }, topics: [] };
    });
    handlers.set("ListDeadLetters", (broker, request: ListDeadLettersRequest) => {
      const { fromOffset, partition, topicId } = request;
      this.cluster.lead(broker, topicId, partition);
      this.asked.push(request);
      const { highWatermark } = this;
      const nextOffset = Math.min(fromOffset + this.step, highWatermark);
      const letters = (this.letters[partition] ?? [])
        .map((letter) => DeadLetter.create({ ...LETTER, ...letter }))
        .filter(({ offset }) => offset >= fromOffset && offset < nextOffset);
      return ListDeadLettersResponse.create({ letters, nextOffset, highWatermark });
    });
  }

  explain(options: Parameters<SubscriptionAdmin["explain"]>[2] = {}, message = MESSAGE) {
    return this.time.until(this.admin.explain("mail", message, options), 60_000);
  }
}

describe("explain: a settled message among the dead letters", () => {
  it("dead: with its attempts, its reason and where the letter stands", async () => {
    const subject = new Subject();
    subject.letters = [[], [{}]];
    expect(await subject.explain()).toMatchObject({
      fate: "dead",
      handedOut: 2,
      failed: 1,
      failures: [{ timeMs: DIED_MS - 1, cause: "reject", error: "no such customer" }],
      deadLetter: {
        topic: "dlq/mail",
        partition: 1,
        offset: 3,
        diedMs: DIED_MS,
        reason: "rejected",
        error: "no such customer",
        redriven: 0,
        open: true,
      },
      sentence:
        "It failed for good at 2026-01-02T00:00:00.000Z (rejected: no such customer), and its letter stands in dlq/mail/1 at offset 3. It failed once.",
    });
    const expression = "$topic = 'orders' AND $partition = 1 AND $offset = 7";
    expect(subject.asked.map(({ filter }) => JSON.parse(filter) as unknown)).toEqual([
      { kind: "sql", expression },
      { kind: "sql", expression },
    ]);
    expect(subject.asked[0]).toMatchObject({ openOnly: false, withValues: false, fromOffset: 0 });
  });

  it("dead: several letters of one message: an open one, then the newest one", async () => {
    const subject = new Subject();
    const old = { open: false, offset: 1, diedMs: 1 };
    subject.letters = [[old, { open: false, offset: 2, diedMs: 9 }], [{ ...old, diedMs: 5 }]];
    const dealtWith = await subject.explain();
    expect(dealtWith).toMatchObject({ fate: "dead", deadLetter: { partition: 0, offset: 2 } });
    expect(dealtWith.sentence).toContain(
      "dealt with: it was redriven, or acknowledged in dlq/mail",
    );
    subject.letters = [
      [old],
      [
        { offset: 4, diedMs: 5, failed: 3 },
        { ...old, offset: 6, diedMs: 9 },
      ],
    ];
    const open = await subject.explain();
    expect(open).toMatchObject({
      fate: "dead",
      failed: 3,
      deadLetter: { partition: 1, offset: 4 },
    });
  });

  it("settled: no letter of it, after all parts were looked through", async () => {
    const subject = new Subject();
    subject.step = 4;
    expect(await subject.explain()).toEqual(ExplainResponse.create(subject.told));
    expect(subject.asked.map(({ fromOffset, partition }) => [partition, fromOffset])).toEqual([
      [0, 0],
      [0, 4],
      [0, 8],
      [1, 0],
      [1, 4],
      [1, 8],
    ]);
  });

  it("settled: too many letters to look through all, and it says so", async () => {
    const subject = new Subject();
    subject.step = 1;
    subject.highWatermark = 1000;
    const { fate, sentence } = await subject.explain();
    expect(fate).toBe("settled");
    expect(sentence).toBe(
      "It is settled. Whether it died is not known: its letter is not in the part of dlq/mail that was looked through.",
    );
    expect(subject.asked.length).toBe(LETTER_CALLS_MAX);
  });

  it("settled: dead letters that nobody answers for are no reason to fail", async () => {
    const subject = new Subject();
    subject.cluster.handlers.set("ListDeadLetters", () => {
      throw new BrokerError("OVERLOADED", "later");
    });
    const told = await subject.explain({ timeoutMs: 2000 });
    expect(told.fate).toBe("settled");
    expect(told.sentence).toContain("Whether it died is not known");
  });

  it("settled: no dead letters, their topic is gone, or only the message's leader is to be asked", async () => {
    const subject = new Subject();
    const plain = ExplainResponse.create(subject.told);
    subject.letters = [[{}], []];
    expect(await subject.explain({ deadLetters: false })).toEqual(plain);
    subject.deadLetter = { enabled: false, topic: "" };
    expect(await subject.explain()).toEqual(plain);
    subject.deadLetter = { enabled: true, topic: "dlq/gone" };
    expect(await subject.explain()).toEqual(plain);
    expect(subject.asked).toEqual([]);
  });

  it("redriven messages: the letters are those of the message that died first", async () => {
    const subject = new Subject();
    const { fate, sentence } = await subject.explain({}, { ...MESSAGE, topic: "redrive/mail" });
    expect(fate).toBe("settled");
    expect(sentence).toContain("told of the message that died first");
    expect(subject.asked).toEqual([]);
  });

  it("other fates are told as they are", async () => {
    const subject = new Subject();
    subject.letters = [[{}], []];
    subject.told = { fate: "ready", sentence: "x" };
    expect((await subject.explain()).fate).toBe("ready");
    expect(subject.asked).toEqual([]);
  });

  it("cancelled: by the caller, also while the letters are looked through", async () => {
    const subject = new Subject();
    subject.highWatermark = 1000;
    subject.step = 1;
    const controller = new AbortController();
    const told = subject.explain({ signal: controller.signal });
    const refused = expect(told).rejects.toMatchObject({ reason: "CANCELLED" });
    await subject.time.run(5);
    controller.abort();
    await refused;
  });
});
