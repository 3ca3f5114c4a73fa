// The serving side of one simulated call: hands the stream to the registered handler, turns what it throws into the call's
// end, and aborts its signal. Owned by sim-pipe.ts.
import { BrokerError, isBrokerError } from "../../src/model/errors.ts";
import type { CallContext, MessageStream } from "../../src/rpc/ports.ts";
import type { SimEnd } from "./sim-end.ts";
import type { Registered } from "./sim-network.ts";
import type { SimHost } from "./world.ts";

/** A process: one generation of a host. */
export interface Incarnation {
  readonly host: SimHost;
  readonly generation: number;
}

export class ServerCall {
  readonly at: Incarnation;
  readonly end: SimEnd;
  readonly #peer: string;
  readonly #onDefect: (host: SimHost, error: unknown) => void;
  #abort: AbortController | undefined;

  /** @param peer name of the calling host */
  constructor(
    at: Incarnation,
    end: SimEnd,
    peer: string,
    onDefect: (host: SimHost, error: unknown) => void,
  ) {
    this.at = at;
    this.end = end;
    this.#peer = peer;
    this.#onDefect = onDefect;
  }

  serve(registered: Registered): void {
    const { end } = this;
    const context = this.#context();
    if (registered.bidi !== undefined) {
      registered.bidi(end, context);
      return;
    }
    end.onMessage = (request) => {
      end.onMessage = () => undefined;
      if (registered.serverStream !== undefined) {
        registered.serverStream(request, end as MessageStream<unknown, never>, context);
        return;
      }
      if (registered.unary === undefined) return;
      registered.unary(request, context).then(
        (response) => {
          end.send(response);
          end.end();
        },
        (error: unknown) => this.#refuse(error),
      );
    };
  }

  /** What the handler throws ends this call; anything but a BrokerError is a defect. */
  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** The other side is gone. */
  ended(error: BrokerError | undefined): void {
    this.#abort?.abort(error);
    this.guard(() => this.end.ended(error));
  }

  #refuse(error: unknown): void {
    if (isBrokerError(error)) {
      this.end.end(error);
      return;
    }
    this.#onDefect(this.at.host, error);
    this.end.end(new BrokerError("INTERNAL", "internal error"));
  }

  /** Few handlers ask for the signal, and signals are dear. */
  #context(): CallContext {
    const signal = (): AbortSignal => {
      this.#abort ??= new AbortController();
      return this.#abort.signal;
    };
    return {
      peer: this.#peer,
      deadlineMs: undefined,
      get signal() {
        return signal();
      },
    };
  }
}
