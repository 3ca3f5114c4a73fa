// A stream on a connection that was closed before: it ends in the next turn, so that callers need no second error path.
import type { BrokerError } from "../model/errors.ts";
import type { MessageStream } from "./ports.ts";

export class EndedStream<Out, In> implements MessageStream<Out, In> {
  onMessage: (message: In) => void = () => {};
  onDrain: () => void = () => {};
  onEnd: (error: BrokerError | undefined) => void = () => {};

  constructor(error: BrokerError) {
    queueMicrotask(() => this.onEnd(error));
  }

  send(): boolean {
    return false;
  }
  end(): void {}
  cancel(): void {}
  pause(): void {}
  resume(): void {}
}
