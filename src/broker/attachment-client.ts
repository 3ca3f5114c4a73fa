// Asks the leaders of partitions whether they keep a subscription's cursor already: the metadata leader waits for them when a
// subscription is created. Implements the cluster room's Attachments.
import type { LeaderCache } from "../cluster/leader-cache.ts";
import type { MetadataView } from "../cluster/metadata-image.ts";
import type { Attachments } from "../cluster/ports.ts";
import { isBrokerError } from "../model/errors.ts";
import type { GroupId, NodeId } from "../model/ids.ts";
import { GetProgressRequest } from "../rpc/generated/flotilla-v1.ts";
import { subscriptionService } from "../rpc/methods.ts";
import type { Connection, Connector } from "../rpc/ports.ts";

/** A leader that does not answer by then is asked again with the next look. */
const PROGRESS_TIMEOUT_MS = 2000;

export interface AttachmentClientDeps {
  readonly view: MetadataView;
  readonly leaders: Pick<LeaderCache, "get">;
  readonly connector: Connector;
}

export class AttachmentClient implements Attachments {
  readonly #deps: AttachmentClientDeps;
  readonly #connections = new Map<string, Connection>();

  constructor(deps: AttachmentClientDeps) {
    this.#deps = deps;
  }

  async pending(subscriptionId: string): Promise<number> {
    const { image } = this.#deps.view;
    const row = image.subscriptions.rows.get(subscriptionId);
    if (row === undefined) return 0;
    const partitions = image.topicsOf(row).flatMap(({ topicId }) => image.partitionsOf(topicId));
    const wanted = new Map(partitions.map((one) => [placeOf(one), this.#leaderOf(one.groupId)]));
    const leaders = [...new Set(wanted.values())].filter((node) => node !== undefined);
    const { name } = row.definition;
    const answers = await Promise.all(leaders.map((node) => this.#attachedOn(node, name)));
    const attached = new Map(leaders.map((node, at) => [node, answers[at]]));
    const isAttached = ([place, leader]: readonly [string, NodeId | undefined]): boolean => {
      return leader !== undefined && attached.get(leader)?.has(place) === true;
    };
    return [...wanted].filter((one) => !isAttached(one)).length;
  }

  close(): void {
    for (const connection of this.#connections.values()) connection.close();
    this.#connections.clear();
  }

  #leaderOf(groupId: GroupId): NodeId | undefined {
    const nodeId = this.#deps.leaders.get(groupId)?.nodeId ?? 0;
    return nodeId === 0 ? undefined : nodeId;
  }

  /** Places that the node says are attached: none when it does not answer, or does not know the subscription yet. */
  async #attachedOn(node: NodeId, subscription: string): Promise<ReadonlySet<string>> {
    const endpoint = this.#deps.view.image.nodes.get(node)?.endpoints.client;
    if (endpoint === undefined) return new Set();
    const request = GetProgressRequest.create({ subscription });
    try {
      const { partitions } = await this.#connection(endpoint).unary(
        subscriptionService.getProgress,
        request,
        { timeoutMs: PROGRESS_TIMEOUT_MS },
      );
      return new Set(partitions.filter(({ attached }) => attached).map(placeOf));
    } catch (error) {
      if (isBrokerError(error)) return new Set();
      throw error;
    }
  }

  #connection(endpoint: string): Connection {
    let connection = this.#connections.get(endpoint);
    if (connection === undefined) {
      connection = this.#deps.connector.connect(endpoint, "peer-control");
      this.#connections.set(endpoint, connection);
    }
    return connection;
  }
}

function placeOf(partition: { readonly topicId: string; readonly partition: number }): string {
  return `${partition.topicId}/${partition.partition}`;
}
