import type { Control } from "../control.ts";

export const cursorAhead: Control = {
  name: "cursor-ahead",
  breaks: "Each ack settles everything before it: the cursor passes what nobody acknowledged.",
  expects: ["D1", "A20"],
  patch: [
    {
      file: "delivery/subscription-state.ts",
      find: `const from = Math.max(range[0], before);`,
      replace: `const from = before;`,
    },
  ],
};
