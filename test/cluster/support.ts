// Fakes for the tests of the cluster room: a metadata group of one replica, ports that record.
import { type Random, seededRandom } from "../../src/base/random.ts";
import type {
  MetadataCommand,
  NodeEndpoints,
  RegisterNode,
} from "../../src/cluster/metadata-commands.ts";
import { MetadataController, type MetadataReplica } from "../../src/cluster/metadata-controller.ts";
import { MetadataView } from "../../src/cluster/metadata-image.ts";
import { MetadataState } from "../../src/cluster/metadata-state.ts";
import type { ControllerClient, LedMembership, Logger } from "../../src/cluster/ports.ts";
import { encodeFrame, type Frame } from "../../src/model/entry-frame.ts";
import { BrokerError } from "../../src/model/errors.ts";
import type { GroupId, NodeId, ReplicaId, TopicId } from "../../src/model/ids.ts";
import { replicaIdOf } from "../../src/model/ids.ts";
import type { SubscriptionDefinition } from "../../src/model/subscription.ts";
import type { EntryDraft } from "../../src/replica/ports.ts";

export const silentLog: Logger = { info: () => {}, warn: () => {}, error: () => {} };

export function node(id: number): NodeId {
  return id as NodeId;
}

export function group(id: number): GroupId {
  return id as GroupId;
}

export function topicId(text: string): TopicId {
  return text as TopicId;
}

export function endpointsOf(id: number): NodeEndpoints {
  return {
    client: `localhost:${9000 + id}`,
    peer: `localhost:${9100 + id}`,
    admin: `localhost:${9200 + id}`,
  };
}

export function registration(id: number, fields: Partial<RegisterNode> = {}): RegisterNode {
  return {
    type: "register-node",
    nodeId: node(id),
    directoryId: `directory-${id}`,
    incarnation: 1,
    endpoints: endpointsOf(id),
    features: { min: 1, max: 1 },
    founder: true,
    ...fields,
  };
}

export function creation(
  name: string,
  partitions = 1,
  replicationFactor = 1,
): Extract<MetadataCommand, { type: "create-topic" }> {
  return {
    type: "create-topic",
    topicId: topicId(`id-of-${name}`),
    name,
    partitions,
    replicationFactor,
    settings: {},
  };
}

/** A metadata group of one replica that commits at once. */
export class OneReplicaGroup implements MetadataReplica {
  readonly replicaId = replicaIdOf(node(1), 0);
  readonly view: MetadataView = new MetadataView();
  readonly state: MetadataState = new MetadataState(this.view);
  readonly controller: MetadataController = new MetadataController(this, this.view);
  readonly frames: Frame[] = [];
  isLeaderReady = true;
  leaderNode: NodeId | 0 = node(1);
  term = 1;
  get watermarks(): MetadataReplica["watermarks"] {
    const index = this.frames.length;
    return {
      writtenIndex: index,
      flushedIndex: index,
      commitIndex: index,
      durableCommitIndex: index,
      appliedIndex: index,
    };
  }
  async proposeAndApply(draft: EntryDraft): Promise<unknown> {
    await Promise.resolve();
    if (!this.isLeaderReady) throw new BrokerError("LEADERSHIP_LOST", "no leader any more");
    const fields = {
      kind: draft.kind,
      index: this.frames.length + 1,
      term: this.term,
      baseOffset: 0,
      recordCount: 0,
      layoutEpoch: 0,
      appendTimeMs: 0,
    };
    const frame = encodeFrame(fields, draft.sections);
    this.frames.push(frame);
    return this.state.apply(frame, fields).reply;
  }
  /** Registers nodes 1 … count. */
  async registerNodes(count: number): Promise<void> {
    for (let id = 1; id <= count; id += 1) await this.controller.propose(registration(id));
  }
}

/** Answers with what `answer` returns or throws, and records the commands. */
export class FakeController implements ControllerClient {
  readonly commands: MetadataCommand[] = [];
  answer: (command: MetadataCommand) => Readonly<Record<string, string | number | boolean>>;
  constructor(answer: FakeController["answer"]) {
    this.answer = answer;
  }
  async propose(
    command: MetadataCommand,
  ): Promise<Readonly<Record<string, string | number | boolean>>> {
    this.commands.push(command);
    await Promise.resolve();
    return this.answer(command);
  }
}

export function random(seed = 1): Random {
  return seededRandom(seed);
}

/** The reason of the BrokerError that `run` throws or rejects with. */
export async function reasonOf(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    if (error instanceof BrokerError) return error.reason;
    throw error;
  }
  return "none";
}

export function id(nodeId: number, revision: number): ReplicaId {
  return replicaIdOf(node(nodeId), revision);
}

/** A group of nodes 1, 2 and 3, led by the first. */
export function members(fields: Partial<LedMembership>): LedMembership {
  return {
    groupId: group(1),
    self: id(1, 0),
    term: 2,
    voters: [id(1, 0), id(2, 0), id(3, 0)],
    learners: [],
    isChanging: false,
    caughtUp: [],
    lagging: [],
    commitIndex: 10,
    durableCommitIndex: 10,
    ...fields,
  };
}

/** A definition with nothing but defaults. */
export function definition(
  name: string,
  fields: Partial<SubscriptionDefinition> = {},
): SubscriptionDefinition {
  return {
    name,
    topics: { kind: "names", names: ["orders"] },
    filter: "",
    mode: "shared",
    retry: {
      attemptsMax: 16,
      delaysMs: [],
      initialMs: 1000,
      maxMs: 600_000,
      multiplierPercent: 200,
      jitterPercent: 20,
    },
    deadLetterTopic: `dlq/${name}`,
    onFailure: "skip",
    ackDeadlineMs: 30_000,
    start: { kind: "earliest" },
    pausedUntilMs: 0,
    ...fields,
  };
}

export function subscription(
  name: string,
  fields: Partial<SubscriptionDefinition> = {},
): Extract<MetadataCommand, { type: "create-subscription" }> {
  const subscriptionId = `id-of-${name}`;
  return { type: "create-subscription", subscriptionId, definition: definition(name, fields) };
}
