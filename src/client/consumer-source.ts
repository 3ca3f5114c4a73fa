// Between a consumer and who takes its messages: a loop, run() or runBatches().
import type { ClientDeps } from "./client-deps.ts";
import type { DeliveryBuffer } from "./delivery-buffer.ts";
import type { FlotillaError } from "./flotilla-error.ts";

/** What takers see of the consumer. */
export interface MessageSource<T> {
  readonly deps: ClientDeps;
  readonly buffer: DeliveryBuffer<T>;
  /** Nothing may be begun any more. */
  readonly isEnding: boolean;
  readonly isClosed: boolean;
  /** Why it cannot go on. */
  readonly failure: FlotillaError | undefined;
  /** Sends what is to be sent now, not at the end of the turn. */
  flush(): void;
  close(): Promise<void>;
  /** The taker has become idle. */
  onIdle(): void;
}

/** What the consumer sees of its taker. */
export interface MessageTaker {
  /** Nothing is worked on. */
  readonly isIdle: boolean;
  /** There may be messages, or an end. */
  onNews(): void;
}
