// Who waits for what becomes of single messages of a delivery: promises of confirmations, and signals that abort. Most messages
// have neither, so that nothing is made before somebody asks. Part of HeldDelivery.
import { type Deferred, deferred } from "../base/deferred.ts";
import { FlotillaError } from "./flotilla-error.ts";

/** Messages by their position in the batch. */
export class MessageListeners {
  #errors: Map<number, FlotillaError> | undefined;
  #waiters: Map<number, Deferred<void>> | undefined;
  #aborts: Map<number, AbortController> | undefined;

  /** Why a message ended. */
  errorOf(at: number): FlotillaError | undefined {
    return this.#errors?.get(at);
  }

  /** Resolves with confirmed(), rejects with ended(). */
  confirmation(at: number): Promise<void> {
    this.#waiters ??= new Map();
    const known = this.#waiters.get(at);
    if (known !== undefined) return known.promise;
    const waiter = deferred<void>();
    this.#waiters.set(at, waiter);
    return waiter.promise;
  }

  /** @param error the message is lost already */
  signal(at: number, error: FlotillaError | undefined): AbortSignal {
    this.#aborts ??= new Map();
    let controller = this.#aborts.get(at);
    if (controller === undefined) {
      controller = new AbortController();
      this.#aborts.set(at, controller);
      if (error !== undefined) controller.abort(error);
    }
    return controller.signal;
  }

  confirmed(at: number): void {
    if (this.#waiters === undefined) return;
    this.#waiters.get(at)?.resolve();
    this.#waiters.delete(at);
  }

  /** Lost or refused: it will never be confirmed. */
  ended(at: number, error: FlotillaError): void {
    this.#errors ??= new Map();
    this.#errors.set(at, error);
    this.#waiters?.get(at)?.reject(error);
    this.#waiters?.delete(at);
  }

  abort(at: number, error: FlotillaError): void {
    this.#aborts?.get(at)?.abort(error);
  }
}

export function stale(offset: number): FlotillaError {
  const text = `the consumer does not hold the message at offset ${offset} any more`;
  return new FlotillaError("STALE_DELIVERY", text, { offset });
}

export function unknown(offset: number): FlotillaError {
  const text = `the connection broke before the settlement of offset ${offset} was confirmed`;
  return new FlotillaError("UNREACHABLE", text, { offset }, "unknown");
}
