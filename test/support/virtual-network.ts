// An in-memory network between replica sets: delays, losses and cut links, in virtual time, repeatable by seed.
// Messages of one direction of one link keep their order, as on a stream.
import type { Clock } from "../../src/base/clock.ts";
import type { Random } from "../../src/base/random.ts";
import type { NodeId } from "../../src/model/ids.ts";
import type {
  GroupMessage,
  ImageTransfer,
  PeerReceiver,
  PeerTransport,
} from "../../src/replica/ports.ts";

export interface NetworkOptions {
  readonly latencyMinMs: number;
  readonly latencyMaxMs: number;
  /** Part of transport messages that vanish, 0 … 1. */
  readonly lossRate: number;
}

const DEFAULTS: NetworkOptions = { latencyMinMs: 0.2, latencyMaxMs: 1, lossRate: 0 };

export class VirtualNetwork {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #receivers = new Map<NodeId, PeerReceiver>();
  readonly #cut = new Set<string>();
  readonly #lastArrivalMs = new Map<string, number>();
  options: NetworkOptions;
  /** Returns false to lose one group's message. */
  filter: (from: NodeId, to: NodeId, item: GroupMessage) => boolean = () => true;
  /** What a transport says about the queue of its bulk lane. */
  hasRoom: (from: NodeId, to: NodeId) => boolean = () => true;
  /** Sees everything that is delivered. */
  onDeliver: (from: NodeId, to: NodeId, item: GroupMessage) => void = () => undefined;
  /** Number of transport messages (not group messages) handed over. */
  sends = 0;

  constructor(clock: Clock, random: Random, options: Partial<NetworkOptions> = {}) {
    this.#clock = clock;
    this.#random = random;
    this.options = { ...DEFAULTS, ...options };
  }

  attach(node: NodeId, receiver: PeerReceiver): void {
    this.#receivers.set(node, receiver);
  }

  /** The process is gone. What is under way to it is lost. */
  detach(node: NodeId): void {
    this.#receivers.delete(node);
  }

  /** Cuts one direction. */
  cut(from: NodeId, to: NodeId): void {
    this.#cut.add(`${from}>${to}`);
  }

  /** Cuts a node off from all others, both ways. */
  isolate(node: NodeId, others: Iterable<NodeId>): void {
    for (const other of others) {
      if (other === node) continue;
      this.cut(node, other);
      this.cut(other, node);
    }
  }

  heal(): void {
    this.#cut.clear();
  }

  transport(from: NodeId): PeerTransport {
    return {
      send: (to, messages) => this.#send(from, to, messages),
      sendImage: (to, transfer, done) => this.#sendImage(from, to, transfer, done),
      hasRoom: (to) => this.hasRoom(from, to),
    };
  }

  #send(from: NodeId, to: NodeId, messages: readonly GroupMessage[]): void {
    this.sends += 1;
    const kept = messages.filter((item) => this.filter(from, to, item));
    if (kept.length === 0 || !this.isOpen(from, to)) return;
    if (this.#random.next() < this.options.lossRate) return;
    this.#deliver(from, to, () => {
      const receiver = this.#receivers.get(to);
      if (receiver === undefined) return;
      for (const item of kept) this.onDeliver(from, to, item);
      receiver.receive(from, kept);
    });
  }

  #sendImage(from: NodeId, to: NodeId, transfer: ImageTransfer, done: (ok: boolean) => void): void {
    this.#deliver(from, to, () => {
      const receiver = this.#receivers.get(to);
      const ok = receiver !== undefined && this.isOpen(from, to);
      if (ok) receiver.receiveImage(from, { ...transfer, image: Buffer.from(transfer.image) });
      if (this.#receivers.has(from)) done(ok);
    });
  }

  isOpen(from: NodeId, to: NodeId): boolean {
    return !this.#cut.has(`${from}>${to}`);
  }

  #deliver(from: NodeId, to: NodeId, run: () => void): void {
    const { latencyMinMs, latencyMaxMs } = this.options;
    const link = `${from}>${to}`;
    const nowMs = this.#clock.monotonicMs();
    const latencyMs = latencyMinMs + this.#random.next() * (latencyMaxMs - latencyMinMs);
    const arrivalMs = Math.max(nowMs + latencyMs, this.#lastArrivalMs.get(link) ?? 0);
    this.#lastArrivalMs.set(link, arrivalMs);
    this.#clock.schedule(arrivalMs - nowMs, run);
  }
}
