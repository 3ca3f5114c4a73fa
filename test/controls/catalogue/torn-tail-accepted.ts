import type { Control } from "../control.ts";

export const tornTailAccepted: Control = {
  name: "torn-tail-accepted",
  breaks: "Recovery takes a frame whose batch does not match its checksum for an entry.",
  expects: ["damage", "I7", "I10", "L5"],
  patch: [
    {
      file: "log/segment-scan.ts",
      find: "const refusal = index.refusal(frame) ?? verifyFrame(frame)?.detail;",
      replace: "const refusal = index.refusal(frame);",
    },
  ],
};
