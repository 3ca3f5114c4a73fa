// Every attack there is.
import type { Attack } from "../attack.ts";
import { consumerAttacks } from "./consumers.ts";
import { frameAttacks } from "./frames.ts";
import { messageAttacks } from "./messages.ts";
import { questionAttacks } from "./questions.ts";
import { socketAttacks } from "./sockets.ts";
import { streamAttacks } from "./streams.ts";

export const ATTACKS: readonly Attack[] = [
  ...socketAttacks,
  ...frameAttacks,
  ...streamAttacks,
  ...messageAttacks,
  ...questionAttacks,
  ...consumerAttacks,
];
