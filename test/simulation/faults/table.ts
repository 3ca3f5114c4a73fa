// Which function carries out which kind of fault.
import * as consumers from "./consumer-faults.ts";
import { deadLetterKill } from "./dead-letter-kill.ts";
import * as disk from "./disk-faults.ts";
import type { Fault } from "./fault.ts";
import type { FaultKind } from "./kinds.ts";
import * as members from "./member-faults.ts";
import * as network from "./network-faults.ts";
import * as power from "./power-faults.ts";
import * as processes from "./process-faults.ts";

export const FAULTS: Readonly<Record<FaultKind, Fault>> = {
  kill: processes.kill,
  "kill all": processes.killAll,
  restart: processes.restart,
  pause: processes.pause,
  transfer: processes.transfer,
  "clock jump": processes.clockJump,
  "power cut": power.powerCut,
  "quiet power cut": power.quietPowerCut,
  "lost cache": power.lostCache,
  "torn write": power.tornWrite,
  "double cut": power.doubleCut,
  blackout: power.blackout,
  "crash point": power.crashPoint,
  "power point": power.powerPoint,
  partition: network.partition,
  "isolated leader": network.isolatedLeader,
  "one-way cut": network.oneWayCut,
  bridge: network.bridge,
  "leading minority": network.leadingMinority,
  reset: network.reset,
  "half-open": network.halfOpen,
  stall: network.stall,
  latency: network.latency,
  "message loss": network.messageLoss,
  duplication: network.duplication,
  reordering: network.reordering,
  "slow disk": disk.slowDisk,
  "hung disk": disk.hungDisk,
  "full disk": disk.fullDisk,
  "fsync error": disk.fsyncError,
  "bit flip": disk.bitFlip,
  "rotten segment": disk.rottenSegment,
  "misdirected write": disk.misdirectedWrite,
  "lost disk": disk.lostDisk,
  move: members.move,
  "cancelled move": members.cancelledMove,
  rebalance: members.rebalance,
  grow: members.grow,
  shrink: members.shrink,
  "cancelled shrink": members.cancelledShrink,
  "metadata voters": members.metadataVoters,
  "consumer kill": consumers.consumerKill,
  "consumer pause": consumers.consumerPause,
  "consumer deaf": consumers.consumerDeaf,
  "consumer zombie": consumers.consumerZombie,
  "subscription pause": consumers.subscriptionPause,
  "subscription seek": consumers.subscriptionSeek,
  "dead letter kill": deadLetterKill,
};
