import type { Control } from "../control.ts";

export const followerRead: Control = {
  name: "follower-read",
  breaks:
    "Fetches are served by any replica: one that follows, or one that was deposed and does not know.",
  expects: ["A15", "reach", "I26"],
  patch: [
    {
      file: "partition/fetch-path.ts",
      find: `this.partition.requireLeader();
    checkOffset(this.partition, this.#offset);`,
      replace: "checkOffset(this.partition, this.#offset);",
    },
    {
      file: "partition/fetch-messages.ts",
      find: `partition.requireLeader();
  checkOffset(partition, request.offset);`,
      replace: "checkOffset(partition, request.offset);",
    },
    {
      file: "partition/fetch-messages.ts",
      find: `partition.requireLeader();
    run = await readOnce(`,
      replace: "run = await readOnce(",
    },
    {
      file: "partition/fetch-session.ts",
      find: `partition.requireLeader();
      if (open.layoutEpoch !== 0)`,
      replace: "if (open.layoutEpoch !== 0)",
    },
  ],
};
