// What a listener tells of its calls, for metrics. `method` is the rpc's path, so that series stay bounded.
import type { BrokerError } from "../model/errors.ts";

export interface CallObserver {
  started(method: string): void;
  /** @param error undefined: it ended well */
  ended(method: string, error: BrokerError | undefined): void;
  /** A call that never reached a handler, or a connection ("none") that was ended. Neither started nor ended. */
  refused(method: string, error: BrokerError): void;
}

export const noCallObserver: CallObserver = {
  started: () => undefined,
  ended: () => undefined,
  refused: () => undefined,
};
