import { expect, it } from "vitest";
import { AttachmentClient } from "../../src/broker/attachment-client.ts";
import { LeaderCache } from "../../src/cluster/leader-cache.ts";
import { BrokerError } from "../../src/model/errors.ts";
import {
  type GetProgressRequest,
  GetProgressResponse,
  PartitionProgress,
} from "../../src/rpc/generated/flotilla-v1.ts";
import type { Connection, Connector } from "../../src/rpc/ports.ts";
import { creation, node, OneReplicaGroup, subscription } from "../cluster/support.ts";

/** Endpoint → partitions that are attached there, or how it fails. */
type Answers = Map<string, readonly number[] | BrokerError>;

/** Three nodes; the topic "orders" has three partitions, led by node 1, 2 and 3. */
async function setUp() {
  const group = new OneReplicaGroup();
  await group.registerNodes(3);
  await group.controller.propose(creation("orders", 3));
  await group.controller.propose(subscription("mail"));
  const leaders = new LeaderCache(node(1));
  for (const row of group.view.image.partitions.values()) {
    leaders.observeLocal(row.groupId, node(row.partition + 1), 1, true);
  }
  const answers: Answers = new Map();
  const asked: string[] = [];
  const connector: Connector = {
    connect: (endpoint) => connectionOf(endpoint, answers, asked),
  };
  const client = new AttachmentClient({ view: group.view, leaders, connector });
  return { group, leaders, answers, asked, client };
}

function connectionOf(endpoint: string, answers: Answers, asked: string[]): Connection {
  const never = (): never => {
    throw new Error("not used");
  };
  return {
    endpoint,
    bidi: never,
    serverStream: never,
    close: () => undefined,
    unary(method, request) {
      asked.push(`${endpoint} ${(request as unknown as GetProgressRequest).subscription}`);
      const answer = answers.get(endpoint);
      if (answer instanceof BrokerError) return Promise.reject(answer);
      const partitions = (answer ?? []).map((partition) =>
        PartitionProgress.create({ topicId: "id-of-orders", partition, attached: true }),
      );
      const bytes = GetProgressResponse.encode(GetProgressResponse.create({ partitions }));
      return Promise.resolve(method.codec.decodeResponse(bytes));
    },
  };
}

it("attachments: each leader is asked once, what none calls attached is pending", async () => {
  const { answers, asked, client } = await setUp();
  answers.set("localhost:9001", [0]);
  answers.set("localhost:9002", []);
  answers.set("localhost:9003", [2]);
  expect(await client.pending("id-of-mail")).toBe(1);
  expect(asked.sort()).toEqual([
    "localhost:9001 mail",
    "localhost:9002 mail",
    "localhost:9003 mail",
  ]);
  answers.set("localhost:9002", [1]);
  expect(await client.pending("id-of-mail")).toBe(0);
});

it("attachments: a broker speaks for what it leads only", async () => {
  const { answers, client } = await setUp();
  answers.set("localhost:9001", [0, 1, 2]);
  expect(await client.pending("id-of-mail")).toBe(2);
});

it("attachments: who does not answer has not said it; partitions without leader are pending", async () => {
  const { answers, client, group, leaders } = await setUp();
  answers.set("localhost:9001", [0]);
  answers.set("localhost:9002", new BrokerError("UNREACHABLE", "down"));
  answers.set("localhost:9003", new BrokerError("UNKNOWN_SUBSCRIPTION", "lags behind"));
  expect(await client.pending("id-of-mail")).toBe(2);
  for (const groupId of group.view.image.partitions.keys()) {
    leaders.observeLocal(groupId, 0, 2, false);
  }
  expect(await client.pending("id-of-mail")).toBe(3);
});

it("attachments: nothing is pending for a subscription that is gone", async () => {
  const { asked, client } = await setUp();
  expect(await client.pending("no-id")).toBe(0);
  expect(asked).toEqual([]);
});
