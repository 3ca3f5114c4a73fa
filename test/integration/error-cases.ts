// Refusals that a healthy cluster gives: what provokes each of them over a real socket. errors.test.ts runs the table and
// shows for every row that nothing was written and that the same connection goes on.
import type { ErrorCase } from "./error-case.ts";
import { CLUSTER_CASES } from "./error-cases-cluster.ts";
import { MEMBER_CASES } from "./error-cases-members.ts";
import { PRODUCE_CASES } from "./error-cases-produce.ts";
import { PUSH_CASES } from "./error-cases-push.ts";
import { SUBSCRIPTION_CASES } from "./error-cases-subscriptions.ts";

export const ERROR_CASES: readonly ErrorCase[] = [
  ...PRODUCE_CASES,
  ...CLUSTER_CASES,
  ...MEMBER_CASES,
  ...SUBSCRIPTION_CASES,
  ...PUSH_CASES,
];
