// All checks, in the order in which their findings are reported.
import { attemptCheck } from "./attempts.ts";
import type { Check } from "./check.ts";
import { consumerLivenessCheck } from "./consumer-liveness.ts";
import { cursorCheck } from "./cursors.ts";
import { deadLetterCheck } from "./dead-letters.ts";
import { deliveryContentCheck, pauseCheck, unwantedCheck } from "./delivery-content.ts";
import { deliveryLossCheck } from "./delivery-loss.ts";
import { orderCheck } from "./delivery-order.ts";
import { sanityCheck } from "./history-sanity.ts";
import { leadershipCheck } from "./leadership.ts";
import { leaseCheck } from "./leases.ts";
import { livenessCheck } from "./liveness.ts";
import { divergenceCheck, duplicateCheck, receiptCheck } from "./log-content.ts";
import { lossCheck } from "./loss.ts";
import { originCheck } from "./origin.ts";
import { outcomeCheck } from "./outcomes.ts";
import { dirtyLogCheck, resourceCheck } from "./processes.ts";
import { readerOrderCheck } from "./reader-order.ts";
import { recencyCheck } from "./recency.ts";
import { redeliveryCheck } from "./redelivery.ts";
import { metadataCheck, replicaCheck } from "./replicas.ts";
import { sendOrderCheck } from "./send-order.ts";

export const CHECKS: readonly Check[] = [
  sanityCheck,
  lossCheck,
  duplicateCheck,
  divergenceCheck,
  receiptCheck,
  originCheck,
  readerOrderCheck,
  sendOrderCheck,
  recencyCheck,
  leadershipCheck,
  livenessCheck,
  replicaCheck,
  metadataCheck,
  outcomeCheck,
  deliveryLossCheck,
  redeliveryCheck,
  leaseCheck,
  orderCheck,
  attemptCheck,
  deadLetterCheck,
  cursorCheck,
  deliveryContentCheck,
  unwantedCheck,
  pauseCheck,
  consumerLivenessCheck,
  dirtyLogCheck,
  resourceCheck,
];
