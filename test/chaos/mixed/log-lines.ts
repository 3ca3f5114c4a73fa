// The brokers' logs for the judge: errors that a broken disk must cause, on the node and in the time of the fault, are put
// down as warnings. All others stay what they are, and fail the run.
import type { LogLine } from "../../../src/testkit/index.ts";
import type { LocalCluster } from "../../support/local-cluster.ts";
import { brokerLogs } from "../broker-logs.ts";

/** A disk that was broken, by the wall clock. */
export interface BrokenDisk {
  readonly node: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** What a broker says when its storage fails, and then stops. */
const EXPECTED: readonly RegExp[] = [
  /"message":"storage failed, this node stops"/,
  /"message":"broker stops"/,
  /"message":"replica task failed"/,
  /"message":"broker task failed"/,
  // The log's files by the system's names of errors, the keyed store by the library's words for them.
  /^error: node \d+ stopped: .*(?:ENOSPC|EIO|No space left on device|Input\/output error)/,
];
const SLACK_MS = 2000;

export function judgedLogs(cluster: LocalCluster, broken: readonly BrokenDisk[]): LogLine[] {
  return brokerLogs(cluster).map((line) => judgedLine(line, broken));
}

export function judgedLine(line: LogLine, broken: readonly BrokenDisk[]): LogLine {
  const isBad = line.level === "error" || line.level === "fatal";
  return isBad && isExpected(line, broken) ? { ...line, level: "warn" } : line;
}

function isExpected({ message, node }: LogLine, broken: readonly BrokenDisk[]): boolean {
  if (!EXPECTED.some((pattern) => pattern.test(message))) return false;
  const own = broken.filter((disk) => disk.node === node);
  const time = /"time":"([^"]+)"/.exec(message)?.[1];
  // The command line's last words have no time; they follow a line that has.
  if (time === undefined) return own.length > 0;
  const atMs = Date.parse(time);
  return own.some(({ fromMs, toMs }) => fromMs - SLACK_MS <= atMs && atMs <= toMs + SLACK_MS);
}
