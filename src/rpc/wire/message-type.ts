// What the generated code exports per protobuf message: a value that bears the name of its interface.
import { RESPONSE_ELEMENTS_MAX, Reader } from "./reader.ts";
import { Writer } from "./writer.ts";

export interface MessageType<Message> {
  /** A complete message: `fields` over the defaults of protobuf (0, "", empty). */
  create(fields?: Partial<Message>): Message;
  /**
   * One allocation of the exact size.
   * @throws INVALID_REQUEST when a number is out of its field's range
   */
  encode(message: Message): Buffer;
  /**
   * Byte fields of the result are views of `bytes`.
   * @param elementsMax repeated elements allowed in all, 1,000,000 unless told
   * @throws INVALID_REQUEST when malformed
   */
  decode(bytes: Buffer, elementsMax?: number): Message;
}

/** Builds a message type from the three functions that scripts/generate.ts writes for each message. */
export function messageType<Message>(
  create: (fields?: Partial<Message>) => Message,
  sizeOf: (message: Message) => number,
  write: (message: Message, writer: Writer) => void,
  read: (reader: Reader) => Message,
): MessageType<Message> {
  return {
    create,
    encode(message) {
      const bytes = Buffer.allocUnsafe(sizeOf(message));
      write(message, new Writer(bytes, 0));
      return bytes;
    },
    decode: (bytes, elementsMax = RESPONSE_ELEMENTS_MAX) => read(new Reader(bytes, elementsMax)),
  };
}
