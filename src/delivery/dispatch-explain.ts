// Where one message is, from what the leader remembers and what is replicated. Pure; part of the dispatcher.
import type { Offset } from "../model/positions.ts";
import type { DispatchCore } from "./dispatch-core.ts";
import type { Explanation, Fate } from "./dispatch-types.ts";
import type { KnownKey, ModeRules } from "./mode-rules.ts";

export function explainMessage<B>(
  core: DispatchCore<B>,
  mode: ModeRules<B>,
  offset: Offset,
  key: KnownKey | undefined,
): Explanation {
  const lease = core.leases.find(offset);
  const handedOut = core.handedOut.get(offset) ?? (lease === undefined ? 0 : 1);
  if (lease !== undefined) {
    const consumerId = core.consumers.get(lease.consumer)?.id ?? "";
    return { fate: { kind: "leased", consumerId, untilMs: lease.deadlineMs }, handedOut };
  }
  return { fate: fateOf(core, mode, offset, key), handedOut };
}

function fateOf<B>(
  core: DispatchCore<B>,
  mode: ModeRules<B>,
  offset: Offset,
  key: KnownKey | undefined,
): Fate {
  const { state, nowMs } = core;
  // What was dropped counts as settled, whether anybody settled it or not.
  if (offset < core.logStartOffset || offset >= core.highWatermark) return { kind: "absent" };
  if (core.isSettled(offset)) return { kind: "settled" };
  if (core.update.isAcking(offset)) return { kind: "settling" };
  const failure = state.failures.get(offset);
  if (failure?.isDead === true) return { kind: "dead" };
  const parked = state.parked.byOffset(offset);
  if (parked !== undefined) return { kind: "parked", behindOffset: offset, key: parked.key };
  const parkedAt = key === undefined ? undefined : parkedBefore(core, offset, key);
  if (parkedAt !== undefined) return { kind: "parked", behindOffset: parkedAt, key: key?.value };
  if (core.overdue.has(offset)) return { kind: "delayed", untilMs: core.overdue.endMs() };
  const behind = mode.behind(offset, key);
  if (behind !== undefined) {
    return { kind: "waiting", behindOffset: behind.offset, key: behind.key };
  }
  const dueMs = core.retries.dueMsOf(offset) ?? (failure === undefined ? 0 : core.dueMsOf(failure));
  if (dueMs > nowMs) return { kind: "delayed", untilMs: dueMs };
  const { pausedUntilMs } = core.definition;
  if (pausedUntilMs > nowMs || state.parked.isStopped) {
    const { stoppedAt } = state.parked;
    return { kind: "paused", untilMs: pausedUntilMs > nowMs ? pausedUntilMs : 0, stoppedAt };
  }
  const unread = mode.unreadBefore(offset, key);
  return {
    kind: "ready",
    unread: unread === undefined ? undefined : { offset: unread, key: key?.value },
  };
}

/** The offset that parked the key of a later message; undefined: its key is not parked, or means nothing in this mode. */
function parkedBefore<B>(core: DispatchCore<B>, offset: Offset, key: KnownKey): Offset | undefined {
  const { mode } = core.definition;
  if (mode === "shared" || (mode === "keyed" && key.value === undefined)) return undefined;
  const at = core.state.parked.offsetOfKey(key.value);
  return at !== undefined && at < offset ? at : undefined;
}
