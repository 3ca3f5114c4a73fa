// One lane's stream from a peer: dialled, dialled again after 50 … 1000 ms with jitter when it ends. The peer says something
// at once and then every second, so silence is noticed too: a connection may be gone on the other side only, or its packets
// wait for a retransmission, and keepalive takes long to tell. Used by peer-transport.ts.
import type { Cancel, Clock } from "../../base/clock.ts";
import type { Random } from "../../base/random.ts";
import { type BrokerError, isBrokerError } from "../../model/errors.ts";
import type { AttachRequest, PeerEnvelope } from "../../rpc/generated/flotilla-internal-v1.ts";
import { peerService } from "../../rpc/methods.ts";
import type { Connection, MessageStream } from "../../rpc/ports.ts";

const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 1000;
const SILENCE_CHECK_MS = 1000;
/**
 * Checks in a row without a message: two to three seconds. Counted, not measured: after a stall of this process one check
 * passes, then what arrived meanwhile is read.
 */
const PATIENCE_MIN = 3;
/**
 * A large message on a slow link is silent until it is whole, and another connection would begin it anew. The peer says when one
 * follows; each time that it does not come, the wait for the next one is doubled. Beyond this, HTTP/2's keepalive decides.
 */
const PATIENCE_MAX = 24;

export interface InboundLaneDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** A new transport connection. */
  readonly connect: () => Connection;
  readonly request: AttachRequest;
}

export interface InboundLaneEvents {
  onEnvelope(envelope: PeerEnvelope): void;
  /** The stream ended; it is dialled again. */
  onLost(error: BrokerError | undefined): void;
  /** The peer answered and said no (another cluster, version …): people should know. */
  onRefusal(error: BrokerError): void;
  /** The stream stood but carried nothing; another connection is being dialled. */
  onSilence(): void;
}

export class InboundLane {
  readonly #deps: InboundLaneDeps;
  readonly #events: InboundLaneEvents;
  #connection: Connection;
  #stream: MessageStream<never, PeerEnvelope> | undefined;
  /** The next message is a large one; 0: it is not. */
  #nextBytes = 0;
  /** The largest that did not come in time. */
  #lateBytes = 0;
  #silentChecks = 0;
  /** With large messages. */
  #patience = PATIENCE_MIN;
  #cancelCheck: Cancel | undefined;
  #cancelDial: Cancel | undefined;
  #backoffMs = BACKOFF_MS_MIN;
  #closed = false;

  constructor(deps: InboundLaneDeps, events: InboundLaneEvents) {
    this.#deps = deps;
    this.#events = events;
    this.#connection = deps.connect();
    this.#cancelDial = deps.clock.schedule(0, () => this.#dial());
    this.#checkLater();
  }

  close(): void {
    this.#closed = true;
    this.#cancelCheck?.();
    this.#drop();
  }

  #drop(): void {
    this.#cancelDial?.();
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.cancel();
    this.#connection.close();
  }

  #checkLater(): void {
    this.#cancelCheck = this.#deps.clock.schedule(SILENCE_CHECK_MS, () => {
      this.#checkLater();
      if (this.#stream === undefined) return;
      this.#silentChecks += 1;
      const isLargeNext = this.#nextBytes > 0;
      if (this.#silentChecks < (isLargeNext ? this.#patience : PATIENCE_MIN)) return;
      if (isLargeNext) {
        this.#patience = Math.min(this.#patience * 2, PATIENCE_MAX);
        this.#lateBytes = Math.max(this.#lateBytes, this.#nextBytes);
      }
      this.#renew();
    });
  }

  /** Gives the connection up and dials on a new one. */
  #renew(): void {
    this.#drop();
    this.#connection = this.#deps.connect();
    this.#cancelDial = this.#deps.clock.schedule(0, () => this.#dial());
    this.#events.onSilence();
  }

  #heard({ nextBytes }: PeerEnvelope): void {
    const isPunctual = this.#silentChecks < PATIENCE_MIN;
    if (isPunctual && this.#nextBytes > 0 && this.#nextBytes >= this.#lateBytes) {
      this.#patience = PATIENCE_MIN;
      this.#lateBytes = 0;
    }
    this.#nextBytes = nextBytes;
    this.#silentChecks = 0;
    this.#backoffMs = BACKOFF_MS_MIN;
  }

  #dial(): void {
    if (this.#closed) return;
    const stream = this.#connection.serverStream(peerService.attach, this.#deps.request);
    this.#stream = stream;
    this.#nextBytes = 0;
    this.#silentChecks = 0;
    stream.onMessage = (envelope) => {
      if (this.#stream !== stream) return;
      this.#heard(envelope);
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
