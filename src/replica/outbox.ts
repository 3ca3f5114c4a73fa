// Collects what all groups of the node want to say in one turn, so that each peer node gets it in one piece: heartbeats
// of hundreds of groups become one transport message. The replica set empties it at the end of every turn.
import { type NodeId, nodeOfReplica } from "../model/ids.ts";
import type { GroupMessage, PeerTransport } from "./ports.ts";

export class Outbox {
  readonly #transport: PeerTransport;
  #byNode = new Map<NodeId, GroupMessage[]>();

  constructor(transport: PeerTransport) {
    this.#transport = transport;
  }

  add(item: GroupMessage): void {
    const node = nodeOfReplica(item.message.to);
    const messages = this.#byNode.get(node);
    if (messages === undefined) this.#byNode.set(node, [item]);
    else messages.push(item);
  }

  /** Hands everything over, in the order in which it was added per node. */
  flush(): void {
    if (this.#byNode.size === 0) return;
    const due = this.#byNode;
    this.#byNode = new Map();
    for (const [node, messages] of due) this.#transport.send(node, messages);
  }

  clear(): void {
    this.#byNode.clear();
  }
}
