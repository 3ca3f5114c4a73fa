// One lane's stream from a peer: dialled, kept alive, dialled again after 50 … 1000 ms with jitter when it ends.
import type { Cancel, Clock } from "../../base/clock.ts";
import type { Random } from "../../base/random.ts";
import { type BrokerError, isBrokerError } from "../../model/errors.ts";
import type { AttachRequest, PeerEnvelope } from "../../rpc/generated/flotilla-internal-v1.ts";
import { peerService } from "../../rpc/methods.ts";
import type { Connection, MessageStream } from "../../rpc/ports.ts";

const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 1000;

export interface InboundLaneDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly connection: Connection;
  readonly request: AttachRequest;
}

export interface InboundLaneEvents {
  onEnvelope(envelope: PeerEnvelope): void;
  /** The stream ended; it is dialled again. */
  onLost(error: BrokerError | undefined): void;
  /** The peer answered and said no (another cluster, version …): people should know. */
  onRefusal(error: BrokerError): void;
}

export class InboundLane {
  readonly #deps: InboundLaneDeps;
  readonly #events: InboundLaneEvents;
  #stream: MessageStream<never, PeerEnvelope> | undefined;
  #cancelDial: Cancel | undefined;
  #backoffMs = BACKOFF_MS_MIN;
  #closed = false;

  constructor(deps: InboundLaneDeps, events: InboundLaneEvents) {
    this.#deps = deps;
    this.#events = events;
    this.#cancelDial = deps.clock.schedule(0, () => this.#dial());
  }

  close(): void {
    this.#closed = true;
    this.#cancelDial?.();
    this.#stream?.cancel();
    this.#stream = undefined;
    this.#deps.connection.close();
  }

  #dial(): void {
    if (this.#closed) return;
    const stream = this.#deps.connection.serverStream(peerService.attach, this.#deps.request);
    this.#stream = stream;
    stream.onMessage = (envelope) => {
      if (this.#stream !== stream) return;
      this.#backoffMs = BACKOFF_MS_MIN;
      try {
        this.#events.onEnvelope(envelope);
      } catch (error) {
        // A peer that sends nonsense must not stop this node; anything else is our own defect.
        if (!isBrokerError(error)) throw error;
        this.#events.onRefusal(error);
        stream.cancel();
        this.#lost(stream, error);
      }
    };
    stream.onEnd = (error) => this.#lost(stream, error);
  }

  #lost(stream: MessageStream<never, PeerEnvelope>, error: BrokerError | undefined): void {
    if (this.#stream !== stream || this.#closed) return;
    this.#stream = undefined;
    if (isBrokerError(error, "CLUSTER_MISMATCH") || isBrokerError(error, "UNSUPPORTED_VERSION")) {
      this.#events.onRefusal(error);
    }
    this.#events.onLost(error);
    const waitMs = this.#backoffMs * (0.5 + this.#deps.random.next() / 2);
    this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_MS_MAX);
    this.#cancelDial = this.#deps.clock.schedule(waitMs, () => this.#dial());
  }
}
