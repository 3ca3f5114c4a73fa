import type { Control } from "../control.ts";

export const attemptDoubled: Control = {
  name: "attempt-doubled",
  breaks: "A failure is counted twice: messages die at half of their attempts.",
  expects: ["D3", "D4"],
  patch: [
    {
      file: "delivery/subscription-state.ts",
      find: `note("fail", fail.offset, () => this.failures.fail(fail));`,
      replace: `note("fail", fail.offset, () => this.failures.fail(fail));
      note("fail", fail.offset, () => this.failures.fail(fail));`,
    },
  ],
};
