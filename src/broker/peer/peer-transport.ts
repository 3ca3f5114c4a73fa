// Raft messages, node status and state images between brokers. The receiver dials: this node opens one stream per lane
// at every other node and reads what that node has for it; what this node sends leaves on the streams that the others
// opened here (architecture decision 6, ADR 0007). Runs on any Connector and ServiceRegistry, so on gRPC and in the
// simulator alike.
import type { Clock } from "../../base/clock.ts";
import type { Random } from "../../base/random.ts";
import { BrokerError, isBrokerError } from "../../model/errors.ts";
import type { NodeId } from "../../model/ids.ts";
import {
  BULK_MESSAGE_BYTES_TARGET,
  PEER_QUEUE_BYTES_MAX,
  PROTOCOL_VERSION_MAX,
  PROTOCOL_VERSION_MIN,
} from "../../model/limits.ts";
import type {
  GroupMessage,
  ImageTransfer,
  Logger,
  PeerReceiver,
  PeerTransport,
} from "../../replica/ports.ts";
import {
  AttachRequest,
  type Lane,
  type NodeStatus,
  PeerEnvelope,
  type RaftMessage,
} from "../../rpc/generated/flotilla-internal-v1.ts";
import { peerService } from "../../rpc/methods.ts";
import type { Connection, Connector, MessageStream, ServiceRegistry } from "../../rpc/ports.ts";
import { chunksOf, ImageAssembler } from "./image-lane.ts";
import { InboundLane } from "./inbound-lane.ts";
import { decodeGroupMessage, encodeGroupMessage } from "./message-codec.ts";
import { OutboundLane } from "./outbound-lane.ts";

const LANES: readonly Lane[] = ["control", "bulk", "snapshot"];
/** Envelope bytes of one raft message without frames; a generous estimate for the queue's account. */
const MESSAGE_BYTES_ESTIMATE = 64;

export interface PeerIdentity {
  readonly clusterId: string;
  readonly nodeId: NodeId;
  readonly directoryId: string;
  readonly incarnation: number;
}

export interface PeerTransportDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly connector: Connector;
  readonly logger: Logger;
  readonly identity: PeerIdentity;
  /** A message to this node was dropped. */
  readonly onDropped: (to: NodeId) => void;
  /** Bytes queued per lane towards one node; default PEER_QUEUE_BYTES_MAX. */
  readonly queueBytesMax?: number;
}

/** What the node does with what arrives. */
export interface PeerSink extends PeerReceiver {
  receiveStatus(from: NodeId, status: NodeStatus): void;
}

interface Peer {
  readonly endpoint: string;
  readonly inbound: readonly InboundLane[];
  readonly outbound: Readonly<Record<Lane, OutboundLane>>;
}

export class GrpcPeerTransport implements PeerTransport {
  readonly #deps: PeerTransportDeps;
  readonly #peers = new Map<NodeId, Peer>();
  readonly #images = new ImageAssembler();
  #sink: PeerSink | undefined;
  #closed = false;

  constructor(deps: PeerTransportDeps) {
    this.#deps = deps;
  }

  /** Registers the serving side; must come before the peer listener opens. */
  register(services: ServiceRegistry): void {
    services.serverStream(peerService.attach, (request, stream) => this.#accept(request, stream));
  }

  /** Begins to deliver. Nothing arrives before. */
  start(sink: PeerSink): void {
    this.#sink = sink;
  }

  /** Adds nodes, or moves them to a new endpoint. Nodes are never dropped: a gone one costs a dial per second. */
  setPeers(peers: readonly { readonly nodeId: NodeId; readonly endpoint: string }[]): void {
    if (this.#closed) return;
    for (const { nodeId, endpoint } of peers) {
      if (nodeId === this.#deps.identity.nodeId) continue;
      const known = this.#peers.get(nodeId);
      if (known?.endpoint === endpoint) continue;
      if (known !== undefined) for (const lane of known.inbound) lane.close();
      this.#images.forget(nodeId);
      const outbound = known?.outbound ?? this.#newOutbound(nodeId);
      const inbound = LANES.map((lane) => this.#dial(nodeId, endpoint, lane));
      this.#peers.set(nodeId, { endpoint, inbound, outbound });
    }
  }

  send(to: NodeId, messages: readonly GroupMessage[]): void {
    const peer = this.#peers.get(to);
    if (peer === undefined || this.#closed) return;
    const control: RaftMessage[] = [];
    let bulk: RaftMessage[] = [];
    let bulkBytes = 0;
    const sendBulk = (): void => {
      if (bulk.length === 0) return;
      peer.outbound.bulk.send({ envelope: PeerEnvelope.create({ raft: bulk }), bytes: bulkBytes });
      bulk = [];
      bulkBytes = 0;
    };
    for (const item of messages) {
      const wire = encodeGroupMessage(item);
      // Probes and commit news go with the entries too, so that appends to one follower keep their order.
      if (item.message.kind !== "append-request") {
        control.push(wire);
        continue;
      }
      let bytes = MESSAGE_BYTES_ESTIMATE;
      for (const frames of wire.frames) bytes += frames.length;
      if (bulkBytes > 0 && bulkBytes + bytes > BULK_MESSAGE_BYTES_TARGET) sendBulk();
      bulk.push(wire);
      bulkBytes += bytes;
    }
    if (control.length > 0) {
      const envelope = PeerEnvelope.create({ raft: control });
      peer.outbound.control.send({ envelope, bytes: control.length * MESSAGE_BYTES_ESTIMATE });
    }
    sendBulk();
  }

  hasRoom(to: NodeId): boolean {
    return this.#peers.get(to)?.outbound.bulk.hasRoom === true;
  }

  sendImage(to: NodeId, transfer: ImageTransfer, done: (ok: boolean) => void): void {
    const lane = this.#peers.get(to)?.outbound.snapshot;
    if (lane === undefined || this.#closed) {
      done(false);
      return;
    }
    const chunks = chunksOf(transfer);
    let missing = chunks.length;
    let ok = true;
    const sent = (isSent: boolean): void => {
      ok &&= isSent;
      missing -= 1;
      if (missing === 0) done(ok);
    };
    lane.sendAll(
      chunks.map((snapshot) => ({
        envelope: PeerEnvelope.create({ snapshot }),
        bytes: snapshot.bytes.length,
        done: sent,
      })),
    );
  }

  /** Tells every attached node. Called every second: lanes that say nothing for longer are dialled anew (InboundLane). */
  broadcastStatus(status: NodeStatus): void {
    for (const { outbound } of this.#peers.values()) {
      const bytes = MESSAGE_BYTES_ESTIMATE + status.ledGroups.length * 8;
      const envelope = PeerEnvelope.create({ status });
      if (outbound.control.isAttached) outbound.control.send({ envelope, bytes });
      outbound.bulk.sayAlive();
      outbound.snapshot.sayAlive();
    }
  }

  /** Bytes queued towards all peers together. */
  get queuedBytes(): number {
    let bytes = 0;
    for (const { outbound } of this.#peers.values()) {
      for (const lane of LANES) bytes += outbound[lane].queuedBytes;
    }
    return bytes;
  }

  /** Bytes queued towards all peers together, by lane, and what they may become. For metrics. */
  queues(): { readonly lane: Lane; readonly bytes: number; readonly bytesMax: number }[] {
    return LANES.map((lane) => {
      let bytes = 0;
      let bytesMax = 0;
      for (const { outbound } of this.#peers.values()) {
        bytes += outbound[lane].queuedBytes;
        bytesMax += outbound[lane].bytesMax;
      }
      return { lane, bytes, bytesMax };
    });
  }

  close(): void {
    this.#closed = true;
    for (const peer of this.#peers.values()) {
      for (const lane of peer.inbound) lane.close();
      for (const lane of LANES) peer.outbound[lane].close();
    }
    this.#peers.clear();
  }

  #newOutbound(nodeId: NodeId): Record<Lane, OutboundLane> {
    const bytesMax = this.#deps.queueBytesMax ?? PEER_QUEUE_BYTES_MAX;
    const lane = (): OutboundLane => new OutboundLane(bytesMax, () => this.#deps.onDropped(nodeId));
    return { control: lane(), bulk: lane(), snapshot: lane() };
  }

  #dial(nodeId: NodeId, endpoint: string, lane: Lane): InboundLane {
    const { identity, clock, random, connector } = this.#deps;
    const request = AttachRequest.create({
      clusterId: identity.clusterId,
      nodeId: identity.nodeId,
      directoryId: identity.directoryId,
      incarnation: identity.incarnation,
      versionMin: PROTOCOL_VERSION_MIN,
      versionMax: PROTOCOL_VERSION_MAX,
      lane,
      toNodeId: nodeId,
    });
    const connect = (): Connection => connector.connect(endpoint, `peer-${lane}`);
    return new InboundLane(
      { clock, random, connect, request },
      {
        onEnvelope: (envelope) => this.#receive(nodeId, envelope),
        onLost: (error) => {
          if (lane === "snapshot") this.#images.forget(nodeId);
          if (lane === "control" && isRefused(error)) this.#sink?.nodeUnreachable(nodeId);
        },
        onRefusal: (error) =>
          this.#deps.logger.warn(
            { peerId: nodeId, endpoint, lane, reason: error.reason, err: error.message },
            "peer refused to attach",
          ),
        onSilence: () => {
          if (lane === "snapshot") this.#images.forget(nodeId);
          const fields = { peerId: nodeId, endpoint, lane };
          this.#deps.logger.warn(fields, "peer is silent, dialling anew");
        },
      },
    );
  }

  #receive(from: NodeId, envelope: PeerEnvelope): void {
    const sink = this.#sink;
    if (sink === undefined || this.#closed) return;
    if (envelope.raft.length > 0) sink.receive(from, envelope.raft.map(decodeGroupMessage));
    if (envelope.status !== undefined) sink.receiveStatus(from, envelope.status);
    if (envelope.snapshot !== undefined) {
      const transfer = this.#images.add(from, envelope.snapshot);
      if (transfer !== undefined) sink.receiveImage(from, transfer);
    }
  }

  #accept(request: AttachRequest, stream: MessageStream<PeerEnvelope, never>): void {
    const problem = this.#problemOf(request);
    if (problem !== undefined) {
      stream.end(problem);
      return;
    }
    const peer = this.#peers.get(request.nodeId as NodeId);
    if (peer === undefined || request.lane === undefined || this.#closed) {
      // The metadata that names the node may arrive later; it dials again.
      stream.end(new BrokerError("NODE_FENCED", "this broker does not know the dialling node yet"));
      return;
    }
    peer.outbound[request.lane].attach(stream);
  }

  #problemOf(request: AttachRequest): BrokerError | undefined {
    const { identity } = this.#deps;
    if (request.clusterId !== identity.clusterId) {
      return new BrokerError("CLUSTER_MISMATCH", "the peer belongs to another cluster", {
        clusterId: identity.clusterId,
      });
    }
    if (request.toNodeId !== identity.nodeId) {
      return new BrokerError("CLUSTER_MISMATCH", "the peer dialled another node", {
        nodeId: identity.nodeId,
      });
    }
    if (request.versionMin > PROTOCOL_VERSION_MAX || request.versionMax < PROTOCOL_VERSION_MIN) {
      return new BrokerError("UNSUPPORTED_VERSION", "no common version of the peer protocol", {
        versionMin: PROTOCOL_VERSION_MIN,
        versionMax: PROTOCOL_VERSION_MAX,
      });
    }
    return undefined;
  }
}

function isRefused(error: BrokerError | undefined): boolean {
  return isBrokerError(error, "UNREACHABLE") && error.fields["refused"] === true;
}
