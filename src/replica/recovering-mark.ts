// The mark of a replica that may have lost entries which it acknowledged (ADR 0012). The journal sets it, in the write that
// notes the new boot; here it goes, durably, when the core says that the replica holds everything again. Until the journal
// has it the replica still says of itself that it is recovering.
import type { GroupContext } from "./group-context.ts";
import type { ReadyLoop } from "./ready-loop.ts";

/** The replica starts with the mark: worth a line, since it may keep a group from electing a leader. */
export function reportMark({ groupId, logger, metrics }: GroupContext): void {
  metrics.count("recoveries_begun");
  logger.warn({ groupId }, "power was lost: the replica may have forgotten what it acknowledged");
}

/** The core reported "caught-up". */
export function clearMark(context: GroupContext, loop: ReadyLoop): void {
  context.spawn("clear-recovering", async () => {
    await loop.saveRecord({ recovering: false });
    if (!context.isLive()) return;
    const { core, groupId, logger, metrics } = context;
    core.setRecovering(false);
    metrics.count("recoveries_finished");
    logger.info({ groupId, term: core.term }, "the replica holds everything again");
    context.wake();
  });
}
