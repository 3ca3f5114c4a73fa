// Looks at the connections of a listener again and again, and ends what only costs: those that never speak HTTP/2, those
// that send frames without any message in them, that open streams only to break them off; and, while memory is short,
// streams that have held some for long without getting on, and connections without a call. Started by the server.
import type { Cancel, Clock } from "../base/clock.ts";
import { BrokerError } from "../model/errors.ts";
import type { MemoryBudget } from "../model/memory-budget.ts";
import type { Activity, ClientConnection } from "./client-connection.ts";
import { HTTP2_ENHANCE_YOUR_CALM, type StreamMeter } from "./stream-meter.ts";

export interface GuardParts {
  readonly clock: Clock;
  readonly budget: MemoryBudget;
  readonly connections: () => Iterable<ClientConnection>;
  readonly connectionsMax: number;
  /** A connection was ended, and why. */
  readonly onCut: (cause: CutCause) => void;
}

export type CutCause = "silent" | "noise" | "resets" | "control-frames" | "idle";

/** Between two looks. */
const LOOK_MS = 250;
/** A new connection must have sent HTTP/2's preface by then. */
const GREETING_MS = 5000;
/** Per second; a well-behaved client stays far below each. */
const NOISE_BYTES_PER_SECOND = 128 * 1024;
const RESETS_PER_SECOND = 1000;
const CONTROL_FRAMES_PER_SECOND = 200;
/** Frames around messages: a twentieth of the bytes of both directions, and so much per stream. */
const OVERHEAD_RATIO = 0.05;
const HEADER_BYTES_PER_STREAM = 2048;
/** While memory is short: so long a stream may hold what it sent, or may not take what waits for it. */
const UNHANDLED_MS = 5000;
const STALLED_MS = 2000;
/** While connections are short: so long one may have no call. */
const IDLE_MS = 2000;
const CONNECTIONS_RATIO = 0.8;
/** Silent and idle ones ended in one look: hundreds at once would hold everything else up. */
const CUTS_PER_LOOK = 24;

export class ConnectionGuard {
  readonly #parts: GuardParts;
  #cancel: Cancel | undefined;
  #sinceActivityMs = 0;

  constructor(parts: GuardParts) {
    this.#parts = parts;
  }

  /** A new connection: floods of single frames are noticed as they come. */
  watch(connection: ClientConnection): void {
    connection.onCheap = () => {
      const cause = causeOfFrames(connection.cheapFrames);
      if (cause === undefined) return;
      connection.onCheap = () => undefined;
      // Not from within the frame's own callback: Node 20 can fail an assertion when its session goes away there.
      this.#parts.clock.schedule(0, () => this.#cut(connection, cause));
    };
  }

  start(): void {
    this.#cancel = this.#parts.clock.schedule(LOOK_MS, () => {
      this.#look();
      this.start();
    });
  }

  close(): void {
    this.#cancel?.();
  }

  #look(): void {
    const { budget, connections } = this.#parts;
    const nowMs = this.#parts.clock.monotonicMs();
    const isReceiveShort = budget.isUnderPressure("receive");
    const isSendShort = budget.isUnderPressure("send");
    this.#sinceActivityMs += LOOK_MS;
    const isSecond = this.#sinceActivityMs >= 1000;
    if (isSecond) this.#sinceActivityMs = 0;
    let silent = 0;
    for (const connection of connections()) {
      const cause = this.#causeToCut(connection, nowMs, isSecond);
      if (cause === "silent") silent += 1;
      if (cause === "silent" && silent > CUTS_PER_LOOK) continue;
      if (cause !== undefined) this.#cut(connection, cause);
      else if (isReceiveShort || isSendShort) this.#lookAtStreams(connection, nowMs);
    }
    this.#cutIdle(nowMs);
  }

  #causeToCut(
    connection: ClientConnection,
    nowMs: number,
    isSecond: boolean,
  ): CutCause | undefined {
    if (!connection.isGreeted && nowMs - connection.openedMs >= GREETING_MS) return "silent";
    return causeOf(connection.activity(isSecond));
  }

  #lookAtStreams(connection: ClientConnection, nowMs: number): void {
    for (const meter of [...connection.streams]) {
      if (this.#isStalled(meter, nowMs)) meter.cut(this.#parts.budget.refusal("send"));
      else if (this.#isHeld(meter, nowMs)) meter.refuse(this.#parts.budget.refusal("receive"));
    }
  }

  #isStalled(meter: StreamMeter, nowMs: number): boolean {
    const sinceMs = meter.stalledSinceMs;
    if (sinceMs === undefined || nowMs - sinceMs < STALLED_MS) return false;
    return this.#parts.budget.isUnderPressure("send");
  }

  #isHeld(meter: StreamMeter, nowMs: number): boolean {
    const sinceMs = meter.unhandledSinceMs;
    if (sinceMs === undefined || nowMs - sinceMs < UNHANDLED_MS) return false;
    return this.#parts.budget.isUnderPressure("receive");
  }

  /** Makes room for others, the one that is idle for longest first. */
  #cutIdle(nowMs: number): void {
    const { budget, connectionsMax } = this.#parts;
    const all = [...this.#parts.connections()];
    const target = Math.floor(connectionsMax * CONNECTIONS_RATIO);
    let surplus = all.length - target;
    if (surplus <= 0 && budget.isUnderPressure("connections")) {
      surplus = Math.ceil(all.length * (1 - CONNECTIONS_RATIO));
    }
    if (surplus <= 0) return;
    const idle = all.filter(({ idleSinceMs }) => nowMs - (idleSinceMs ?? nowMs) >= IDLE_MS);
    idle.sort((left, right) => (left.idleSinceMs ?? 0) - (right.idleSinceMs ?? 0));
    for (const connection of idle.slice(0, Math.min(surplus, CUTS_PER_LOOK)))
      this.#cut(connection, "idle");
  }

  #cut({ session }: ClientConnection, cause: CutCause): void {
    this.#parts.onCut(cause);
    if (!session.destroyed && cause !== "silent") session.goaway(HTTP2_ENHANCE_YOUR_CALM);
    session.destroy();
  }
}

/** Why a second (or the part of it that has passed) ends a connection. */
export function causeOf(activity: Activity): CutCause | undefined {
  const { dataBytes, rawBytes, sentBytes, streamsOpened } = activity;
  const cause = causeOfFrames(activity);
  if (cause !== undefined) return cause;
  const overhead = (dataBytes + sentBytes) * OVERHEAD_RATIO;
  const noise = rawBytes - dataBytes - overhead - streamsOpened * HEADER_BYTES_PER_STREAM;
  return noise > NOISE_BYTES_PER_SECOND ? "noise" : undefined;
}

function causeOfFrames({
  pings,
  resets,
  settings,
}: Pick<Activity, "pings" | "resets" | "settings">): CutCause | undefined {
  if (resets > RESETS_PER_SECOND) return "resets";
  return pings + settings > CONTROL_FRAMES_PER_SECOND ? "control-frames" : undefined;
}

/** What is counted and shown for a connection that was ended. */
export function cutError(cause: CutCause): BrokerError {
  return new BrokerError("OVERLOADED", `a connection was ended: ${cause}`, {
    limit: `connection.${cause}`,
  });
}
