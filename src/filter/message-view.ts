// What a filter may look at, and what it answers.

/** What a filter may look at. Reading a header decodes it; nothing is kept. */
export interface MessageView {
  /** Text of the first header of that name; undefined when there is none. */
  header(name: string): string | undefined;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Time of the append, ms since 1970. */
  readonly timestampMs: number;
  /** Bytes of the value. */
  readonly size: number;
  readonly key: string | undefined;
}

export type MessageTest = (message: MessageView) => boolean;
