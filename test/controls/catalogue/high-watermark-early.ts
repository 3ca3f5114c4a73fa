import type { Control } from "../control.ts";

export const highWatermarkEarly: Control = {
  name: "high-watermark-early",
  breaks: "Readers are shown what the leader has written and nobody has committed.",
  expects: ["I26"],
  patch: [
    {
      file: "replica/replica.ts",
      find: "return Math.max(this.#committedOffset, this.#parts.apply.position.nextOffset);",
      replace: "return this.#log.nextOffset;",
    },
    {
      file: "replica/replica.ts",
      find: "return readCommitted(this.#parts.context, from, this.#parts.loop.commitIndex, bytesMax);",
      replace: "return readCommitted(this.#parts.context, from, this.#log.lastIndex, bytesMax);",
    },
    {
      file: "replica/replica.ts",
      find: "return readTail(this.#parts.context, from, this.#parts.loop.commitIndex, bytesMax);",
      replace: "return readTail(this.#parts.context, from, this.#log.lastIndex, bytesMax);",
    },
  ],
};
