// A producer that sends values of one type to one topic. A thin view: the producer beneath does everything else.
import type { Producer, SendOptions } from "./producer-options.ts";
import type { OutgoingMessage, SendClass } from "./producer-topic.ts";
import type { Receipt, SendCallback } from "./send-batch.ts";
import type { Serializer } from "./serializer.ts";

/** A message whose value is `data`. */
export interface TypedMessage<T> extends Omit<OutgoingMessage, "topic" | "value"> {
  readonly data: T;
}

export interface TypedProducer<T> {
  /** As {@link Producer.send}. @throws also what the serializer throws */
  send(message: TypedMessage<T>, options?: SendOptions): Promise<Receipt>;
  /** As {@link Producer.sendAsync}. */
  sendAsync(message: TypedMessage<T>, done: SendCallback, options?: SendClass): void;
}

/** Closing remains the producer's business. */
export function typedProducer<T>(
  producer: Producer,
  topic: string,
  serializer: Serializer<T>,
): TypedProducer<T> {
  const encode = ({ data, ...rest }: TypedMessage<T>): OutgoingMessage => ({
    ...rest,
    topic,
    value: serializer.serialize(data),
  });
  return {
    async send(message, options) {
      return producer.send(encode(message), options);
    },
    sendAsync(message, done, options) {
      producer.sendAsync(encode(message), done, options);
    },
  };
}
