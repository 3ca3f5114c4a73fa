// Gives entries to other brokers whose own ones are damaged: in pieces, as fast as they are taken, and no more than
// a few MiB per request.
import type { Frame } from "../../model/entry-frame.ts";
import { BrokerError, isBrokerError } from "../../model/errors.ts";
import type { GroupId, NodeId, ReplicaId } from "../../model/ids.ts";
import type { LogIndex } from "../../model/positions.ts";
import {
  type ReadEntriesRequest,
  ReadEntriesResponse,
} from "../../rpc/generated/flotilla-internal-v1.ts";
import { peerService } from "../../rpc/methods.ts";
import type { MessageStream, ServiceRegistry } from "../../rpc/ports.ts";
import type { BrokerNode } from "../node.ts";

const PIECE_BYTES = 1024 * 1024;
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;

type Stream = MessageStream<ReadEntriesResponse, never>;

export function registerPeerRepairService(node: BrokerNode, services: ServiceRegistry): void {
  services.serverStream(peerService.readEntries, (request, stream) => {
    if (request.clusterId !== node.options.nodeFile.clusterId) {
      stream.end(new BrokerError("CLUSTER_MISMATCH", "the peer belongs to another cluster"));
      return;
    }
    answer(node, request, stream).then(
      () => stream.end(),
      (error: unknown) => {
        if (!isBrokerError(error)) node.ports.logger.error({ error }, "entries were not given");
        stream.end(isBrokerError(error) ? error : new BrokerError("INTERNAL", "it went wrong"));
      },
    );
  });
}

/** An error after the first piece ends the answer early: what was sent is right. */
async function answer(
  node: BrokerNode,
  request: ReadEntriesRequest,
  stream: Stream,
): Promise<void> {
  const flow = new Flow(stream);
  const bytesMax = Math.min(request.bytesMax, ANSWER_BYTES_MAX);
  let next = request.firstIndex;
  let bytes = 0;
  while (next <= request.lastIndex && (bytes === 0 || bytes < bytesMax)) {
    const frames = await piece(node, request, next, Math.min(PIECE_BYTES, bytesMax - bytes));
    if (frames === undefined || flow.isOver) return;
    const chunks = frames.map((frame) => frame.bytes);
    for (const chunk of chunks) bytes += chunk.length;
    next += frames.length;
    await flow.send(ReadEntriesResponse.create({ frames: chunks }));
    if (flow.isOver) return;
  }
}

async function piece(
  node: BrokerNode,
  request: ReadEntriesRequest,
  first: LogIndex,
  bytesMax: number,
): Promise<readonly Frame[] | undefined> {
  try {
    return await node.replicas.readEntries(request.nodeId as NodeId, {
      groupId: request.groupId as GroupId,
      from: request.from as ReplicaId,
      to: request.to as ReplicaId,
      first,
      last: request.lastIndex,
      bytesMax,
    });
  } catch (error) {
    if (first > request.firstIndex && isBrokerError(error)) return undefined;
    throw error;
  }
}

/** Sends no faster than the other side takes. */
class Flow {
  readonly #stream: Stream;
  #isOver = false;
  #onFree: (() => void) | undefined;

  constructor(stream: Stream) {
    this.#stream = stream;
    stream.onDrain = () => this.#onFree?.();
    stream.onEnd = () => {
      this.#isOver = true;
      this.#onFree?.();
    };
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  async send(message: ReadEntriesResponse): Promise<void> {
    if (this.#stream.send(message)) return;
    await new Promise<void>((resolve) => {
      this.#onFree = resolve;
    });
    this.#onFree = undefined;
  }
}
