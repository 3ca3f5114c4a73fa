// The commands' port on the SDK: translates between the command line's words and flotilla/client. Besides sdk-consume.ts the
// only file of this room that imports the client.
import {
  type Admin,
  type Client,
  createClient,
  type SeekTarget,
  type StartPosition,
} from "../client/index.ts";
import { BrokerError } from "../model/errors.ts";
import type {
  AdminPort,
  ClientPort,
  MembersPort,
  PartitionDetails,
  ProducerPort,
  ProducerWish,
  TopicDetails,
} from "./client-port.ts";
import type { DeadLettersPort } from "./dead-letter-port.ts";
import type { StartAt } from "./options.ts";
import { type AskedPartition, withOffsets } from "./partition-offsets.ts";
import { consumeWith } from "./sdk-consume.ts";
import type { SubscriptionsPort } from "./subscription-port.ts";

/** Nothing is connected before the first call. @param timeoutMs of each call, and of a partition without a leader */
export function connectSdk(bootstrap: readonly string[], timeoutMs: number): ClientPort {
  const client = createClient({ bootstrap, clientId: "cli" });
  return {
    admin: adminOf(client, timeoutMs),
    producer: (wish) => producerOf(client, wish),
    read: (wish) =>
      client.reader({
        topic: wish.topic,
        partitions: wish.partitions,
        from: placeOf(wish.from),
        until: wish.follow ? undefined : "end",
        unavailableTimeoutMs: timeoutMs,
        signal: wish.signal,
      }),
    consume: (wish) => consumeWith(client, wish),
    close: () => client.close(),
  };
}

function adminOf(client: Client, timeoutMs: number): AdminPort {
  const admin = client.admin();
  const settings = { timeoutMs };
  return {
    createTopic: (topic) => admin.createTopic(topic, settings),
    async listTopics(prefix) {
      const topics = [];
      for await (const topic of admin.listTopics({ prefix, ...settings })) topics.push(topic);
      return topics;
    },
    async describeTopic(name): Promise<TopicDetails> {
      const { partitions, settings: effective, topic } = await admin.describeTopic(name, settings);
      if (topic === undefined)
        throw new BrokerError("INTERNAL", `the answer about ${name} is incomplete`);
      return {
        topic,
        settings: effective,
        partitions: await offsetsOf(admin, name, partitions, timeoutMs),
      };
    },
    alterTopic: (name, changes) => admin.alterTopic(name, changes, settings),
    deleteTopic: (name) => admin.deleteTopic(name, settings),
    describeCluster: () => admin.describeCluster(settings),
    members: membersOf(client, timeoutMs),
    subscriptions: subscriptionsOf(client, timeoutMs),
    deadLetters: deadLettersOf(client, timeoutMs),
  };
}

function subscriptionsOf(client: Client, timeoutMs: number): SubscriptionsPort {
  const { subscriptions } = client.admin();
  const settings = { timeoutMs };
  return {
    create: (wish, validateOnly) => subscriptions.create(wish, { ...settings, validateOnly }),
    async list(wish) {
      const found = [];
      for await (const one of subscriptions.list({ ...wish, ...settings })) found.push(one);
      return found;
    },
    describe: (name) => subscriptions.describe(name, settings),
    alter: (name, changes, version) => subscriptions.alter(name, changes, { ...settings, version }),
    pause: (name, untilMs) => subscriptions.pause(name, untilMs, settings),
    resume: (name) => subscriptions.resume(name, settings),
    delete: (name) => subscriptions.delete(name, settings),
    progress: (name) => subscriptions.progress(name, settings),
    seek: (name, to, where, dryRun) =>
      subscriptions.seek(name, placeOf(to), { ...where, ...settings, dryRun }),
    explain: (name, message) => subscriptions.explain(name, message, settings),
    async parkedKeys(name, where) {
      const keys = [];
      for await (const key of subscriptions.parkedKeys(name, { ...where, ...settings }))
        keys.push(key);
      return keys;
    },
    release: (name, message, skipMessage) =>
      subscriptions.release(name, { ...message, skipMessage }, settings),
  };
}

function deadLettersOf(client: Client, timeoutMs: number): DeadLettersPort {
  const { deadLetters } = client.admin();
  const settings = { timeoutMs };
  return {
    list: (name, wish) => deadLetters.list(name, { ...wish, ...settings }),
    get: (name, place) => deadLetters.get(name, place, settings),
    redrive: (name, wish) => deadLetters.redrive(name, { ...wish, ...settings }),
  };
}

function placeOf(to: StartAt): SeekTarget & StartPosition {
  switch (to.kind) {
    case "earliest":
    case "latest":
      return to.kind;
    case "offset":
      return { offset: to.offset };
    case "time":
      return { timeMs: to.timeMs };
  }
}

function membersOf(client: Client, timeoutMs: number): MembersPort {
  const { members } = client.admin();
  const settings = { timeoutMs };
  return {
    moveReplica: (move) => members.moveReplica(move, settings),
    cancelMove: (name) => members.cancelMove(name, settings),
    listMoves: (nodeId) => members.listMoves(nodeId, settings),
    decommissionNode: (wish) => members.decommissionNode(wish, settings),
    cancelDecommission: (nodeId) => members.cancelDecommission(nodeId, settings),
    rebalance: (execute) => members.rebalance(execute, settings),
    setMetadataVoters: (count) => members.setMetadataVoters(count, settings),
    async nodesOf({ partition, topic }) {
      const { partitions } = await client.admin().describeTopic(topic, settings);
      const details = partitions.find((one) => one.partition === partition);
      return details === undefined ? [] : [...details.replicas, ...details.leaving];
    },
    inspectReplica: (nodeId, name, patienceMs) =>
      members.inspectReplica(nodeId, name, { timeoutMs: patienceMs }),
    unsafeRecover: (name, seen) => members.unsafeRecover(name, seen, settings),
  };
}

/** A leader that has just died, or that nobody follows any more, does not hold the whole table up. */
const OFFSET_TIMEOUT_MS = 3000;

async function offsetsOf(
  admin: Admin,
  topic: string,
  partitions: readonly AskedPartition[],
  timeoutMs: number,
): Promise<readonly PartitionDetails[]> {
  const settings = { timeoutMs: Math.min(timeoutMs, OFFSET_TIMEOUT_MS) };
  // Questions about a partition need the topic's route.
  await admin.metadata(topic);
  return withOffsets(partitions, (partition) => admin.listOffsets(topic, partition, 0, settings));
}

function producerOf(client: Client, wish: ProducerWish): ProducerPort {
  const producer = client.producer({
    acks: wish.acks,
    flush: wish.flush,
    deliveryTimeoutMs: wish.timeoutMs,
  });
  return {
    ready: () => producer.ready(),
    send: (message) => producer.send({ topic: wish.topic, ...message }),
    close: () => producer.close(),
  };
}
