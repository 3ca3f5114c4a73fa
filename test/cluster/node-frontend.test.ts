import { describe, expect, test } from "vitest";
import { Liveness, SESSION_MS } from "../../src/cluster/liveness.ts";
import { NodeFencing, NodeRegistration } from "../../src/cluster/node-frontend.ts";
import { PRODUCER_ID_BLOCK, ProducerIds } from "../../src/cluster/producer-ids.ts";
import { BrokerError } from "../../src/model/errors.ts";
import { type GroupId, METADATA_GROUP, replicaIdOf } from "../../src/model/ids.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import {
  FakeController,
  node,
  OneReplicaGroup,
  random,
  reasonOf,
  registration,
  silentLog,
} from "./support.ts";

const DONE = { registeredIndex: 4, metadataRevision: 0, featureLevel: 1 };

describe("node registration", () => {
  function setUp(answer: FakeController["answer"]) {
    const clock = new VirtualClock();
    const controller = new FakeController(answer);
    const frontend = new NodeRegistration({
      controller,
      clock: clock.root,
      random: random(),
      log: silentLog,
    });
    return { clock, controller, frontend };
  }

  test("retry: goes on until the metadata group answers (no leader, then fenced by the former process)", async () => {
    const refusals = [
      new BrokerError("LEADER_UNKNOWN", "none"),
      new BrokerError("UNREACHABLE", "gone"),
      new BrokerError("NODE_FENCED", "alive", { cause: "foreign-directory" }),
    ];
    const { clock, controller, frontend } = setUp(() => {
      const refusal = refusals.shift();
      if (refusal !== undefined) throw refusal;
      return DONE;
    });
    const registered = frontend.register(registration(1), new AbortController().signal);
    expect(await clock.until(registered, 10_000)).toEqual(DONE);
    expect(controller.commands).toHaveLength(4);
  });

  test.each(["older-incarnation", "retired-directory", "feature-level"])(
    "refusal: %s is final",
    async (cause) => {
      const { frontend } = setUp(() => {
        throw new BrokerError("NODE_FENCED", "no", { cause });
      });
      const run = () => frontend.register(registration(1), new AbortController().signal);
      expect(await reasonOf(run)).toBe("NODE_FENCED");
    },
  );

  test("abort: ends the wait", async () => {
    const { clock, frontend } = setUp(() => {
      throw new BrokerError("LEADER_UNKNOWN", "none");
    });
    const abort = new AbortController();
    const reason = reasonOf(() => frontend.register(registration(1), abort.signal));
    await clock.run(1000);
    abort.abort();
    expect(await reason).toBe("CANCELLED");
  });
});

describe("node fencing", () => {
  async function setUp() {
    const clock = new VirtualClock();
    const group = new OneReplicaGroup();
    await group.registerNodes(3);
    const liveness = new Liveness(node(1), 0);
    const membership = { voters: [1, 2, 3], unproven: [] as GroupId[] };
    const fencing = new NodeFencing({
      controller: group.controller,
      view: group.view,
      liveness,
      metadataVoters: () => membership.voters.map((id) => replicaIdOf(node(id), 0)),
      unproven: () => membership.unproven,
      clock: clock.root,
      log: silentLog,
    });
    const fenced = () =>
      [...group.view.image.nodes.values()].filter((row) => row.fenced).map((row) => row.nodeId);
    return { clock, fenced, fencing, group, liveness, membership };
  }

  test("session: silent nodes are fenced after it, and unfenced when they speak", async () => {
    const { clock, fenced, fencing, liveness } = await setUp();
    fencing.start();
    for (let second = 0; second < 8; second += 1) {
      liveness.heard({ nodeId: 2, incarnation: 1, draining: false }, clock.nowMs);
      await clock.run(1000);
    }
    expect(fenced()).toEqual([3]);
    liveness.heard({ nodeId: 3, incarnation: 1, draining: false }, clock.nowMs);
    await clock.run(1000);
    expect(fenced()).toEqual([]);
    await fencing.close();
  });

  test("leader change: the new one waits a whole session before it fences", async () => {
    const { clock, fenced, fencing, group } = await setUp();
    group.isLeaderReady = false;
    fencing.start();
    await clock.run(60_000);
    group.isLeaderReady = true;
    await clock.run(SESSION_MS - 500);
    expect(fenced()).toEqual([]);
    await clock.run(1500);
    expect(fenced()).toEqual([2, 3]);
    await fencing.close();
  });

  test("decommissioned: unregistered once it has no vote and the metadata group's members are proven", async () => {
    const { clock, fencing, group, membership } = await setUp();
    const isRegistered = (): boolean => group.view.image.nodes.has(node(3));
    const decommission = { successor: 0, mustBeFenced: false, nodeId: node(3) } as const;
    await group.controller.propose({ type: "decommission-node", ...decommission });
    fencing.start();
    await clock.run(2000);
    expect(isRegistered()).toBe(true);
    membership.voters = [1, 2];
    membership.unproven = [METADATA_GROUP];
    await clock.run(2000);
    expect(isRegistered()).toBe(true);
    membership.unproven = [7 as GroupId];
    await clock.run(2000);
    expect(isRegistered()).toBe(false);
    await fencing.close();
  });

  test("close: no round runs afterwards", async () => {
    const { clock, fencing, group } = await setUp();
    fencing.start();
    await fencing.close();
    await clock.run(60_000);
    expect(group.frames).toHaveLength(3);
  });
});

describe("producer ids", () => {
  test("blocks: anonymous sessions share one reservation and never an id", async () => {
    let next = 1;
    const controller = new FakeController(() => {
      const first = next;
      next += PRODUCER_ID_BLOCK;
      return { first, count: PRODUCER_ID_BLOCK };
    });
    const ids = new ProducerIds(node(1), controller);
    const sessions = await Promise.all(Array.from({ length: 700 }, () => ids.open({ name: "" })));
    const given = sessions.flatMap((session) => [session.producerId, session.weakProducerId]);
    expect(new Set(given).size).toBe(1400);
    expect(controller.commands).toHaveLength(2);
  });

  test("names: go to the metadata group", async () => {
    const group = new OneReplicaGroup();
    const ids = new ProducerIds(node(1), group.controller);
    const name = "billing";
    const first = await ids.open({ name, token: "t" });
    expect(first).toEqual({ producerId: 2, weakProducerId: 3, epoch: 0 });
    expect(await ids.open({ name, token: "t" })).toEqual(first);
    expect(await ids.open({ name, previous: first })).toEqual({ ...first, epoch: 1 });
    expect(await reasonOf(() => ids.open({ name, previous: first }))).toBe("PRODUCER_FENCED");
    expect(await ids.open({ name, token: "" })).toEqual({ ...first, epoch: 2 });
  });

  const previous = { producerId: 2, epoch: 0 };
  test.each([
    ["name", 255, { name: "x".repeat(256) }],
    ["token", 64, { name: "n", token: "t".repeat(65) }],
    ["previous.epoch", 32_767, { name: "n", previous: { producerId: 2, epoch: 32_768 } }],
    ["previous.epoch", 32_767, { name: "n", previous: { producerId: 2, epoch: -1 } }],
    ["previous.producerId", 2 ** 53 - 1, { name: "n", previous: { producerId: 0.5, epoch: 0 } }],
    ["token", "only with a name", { name: "", token: "t" }],
    ["previous", "only with a name", { name: "", previous }],
  ])("shape: %s is refused beyond %s, before anything is proposed", async (field, limit, wish) => {
    const controller = new FakeController(() => ({}));
    const refusal = new ProducerIds(node(1), controller).open(wish);
    const fields = { field, limit };
    await expect(refusal).rejects.toMatchObject({ reason: "INVALID_REQUEST", fields });
    expect(controller.commands).toEqual([]);
  });

  test("failure: told to all that wait, the next one tries again", async () => {
    let fails = true;
    const controller = new FakeController(() => {
      if (fails) throw new BrokerError("LEADER_UNKNOWN", "none");
      return { first: 1, count: 10 };
    });
    const ids = new ProducerIds(node(1), controller);
    const reasons = await Promise.all([
      reasonOf(() => ids.open({ name: "" })),
      reasonOf(() => ids.open({ name: "" })),
    ]);
    expect(reasons).toEqual(["LEADER_UNKNOWN", "LEADER_UNKNOWN"]);
    fails = false;
    expect((await ids.open({ name: "" })).producerId).toBe(1);
  });
});
