// Where reasons are shown that the table of error-cases.ts does not provoke. errors.test.ts checks that nothing is missing
// and that what is named here exists.
import type { ErrorReason } from "../../src/model/errors.ts";

/** Need a cluster in trouble: titles in errors-in-trouble.test.ts begin with the reason. */
export const IN_TROUBLE: readonly ErrorReason[] = [
  "LEADER_UNKNOWN",
  "LEADERSHIP_LOST",
  "STALE_LEADER_EPOCH",
  "DISK_FULL",
  "STORAGE_FAILED",
  "LOG_CORRUPT",
  "OVERLOADED",
  "SHUTTING_DOWN",
];

/** Cannot be provoked from outside a broker of this version, with the test (or folder) that shows them from inside. */
export const INSIDE: Readonly<Partial<Record<ErrorReason, string>>> = {
  INTERNAL: "test/rpc/server.test.ts",
  STALE_REPLICA: "test/replica/replica-failures.test.ts",
  CHANGE_IN_PROGRESS: "test/replica/leadership.test.ts",
  UNREACHABLE: "test/rpc/server.test.ts",
  CLOSED: "test/rpc/server.test.ts",
  BUFFER_FULL: "test/client",
};

/** In the table for later versions: nothing in the brokers' rooms gives them. */
export const NOT_YET_SENT: readonly ErrorReason[] = [
  "REPLICATION_TIMEOUT",
  "LANE_CLOSED",
  "QUOTA_EXCEEDED",
  "BACKLOG_FULL",
];
