// A message as filters see it, and what a refusal says.
import type { MessageView } from "../../src/filter/message-view.ts";
import { BrokerError } from "../../src/model/errors.ts";

export interface MessageFields {
  readonly headers?: Readonly<Record<string, string>>;
  readonly key?: string;
  readonly offset?: number;
}

export function messageView({ headers = {}, key, offset = 0 }: MessageFields): MessageView {
  return {
    header: (name) => (Object.hasOwn(headers, name) ? headers[name] : undefined),
    topic: "orders",
    partition: 2,
    offset,
    timestampMs: 1_767_225_600_000,
    size: 124,
    key,
  };
}

export function refusal(run: () => unknown): BrokerError {
  try {
    run();
  } catch (error) {
    if (error instanceof BrokerError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
