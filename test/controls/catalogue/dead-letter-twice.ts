import type { Control } from "../control.ts";

export const deadLetterTwice: Control = {
  name: "dead-letter-twice",
  breaks:
    "Each move of a dead message has an id of its own: one that is repeated stands in the dead letter topic twice.",
  expects: ["A21"],
  patch: [
    {
      file: "broker/dead-letters.ts",
      find: `const messageId = messageIdOf(letter);`,
      replace: `const messageId = \`\${messageIdOf(letter).slice(0, 40)}/\${this.#deps.clock.wallMs()}\`;`,
    },
  ],
};
