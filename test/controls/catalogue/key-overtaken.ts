import type { Control } from "../control.ts";

export const keyOvertaken: Control = {
  name: "key-overtaken",
  breaks: "A message that failed does not hold up its key: a later one overtakes it.",
  expects: ["A14"],
  patch: [
    {
      file: "delivery/keyed-mode.ts",
      find: `    if (this.#order.isKnown(offset)) {
      this.#core.retries.add(offset, notBeforeMs);`,
      replace: `    if (this.#order.isKnown(offset)) {
      this.#core.retries.add(offset, notBeforeMs);
      this.#order.advance(offset);`,
    },
  ],
};
