import type { Control } from "../control.ts";

export const barrierSkipped: Control = {
  name: "barrier-skipped",
  breaks:
    "Who asks where a partition ends is answered without a round of heartbeats: one that was deposed and does not know it tells the past.",
  expects: ["A15"],
  patch: [
    {
      file: "partition/fetch-messages.ts",
      find: "  await replica.readBarrier();\n",
      replace: "",
    },
  ],
};
