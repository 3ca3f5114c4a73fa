// What a filter may look at, and what it answers.
import { FILTER_LIMITS } from "./filter-definition.ts";

/** What a filter may look at. Reading a header decodes it; nothing is kept. */
export interface MessageView {
  /**
   * Text of the first header of that name; undefined when there is none. Of one that is longer than filters look at
   * (FILTER_LIMITS.textCharacters) the beginning is enough, as long as that is too long as well.
   */
  header(name: string): string | undefined;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Time of the append, ms since 1970. */
  readonly timestampMs: number;
  /** Bytes of the value. */
  readonly size: number;
  /** Text; long ones as for headers. */
  readonly key: string | undefined;
}

/** Time for a message must not grow with what somebody put into a header: texts beyond the limit are not compared. */
export function isTooLong(text: string): boolean {
  return text.length > FILTER_LIMITS.textCharacters;
}

export type MessageTest = (message: MessageView) => boolean;
