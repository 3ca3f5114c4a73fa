// The leader of a partition dies when a dead message of it stands in its dead letter topic and is not settled yet: the next
// leader moves it once more.
import { type Fault, isRunning } from "./fault.ts";

/** So long it waits for a dead letter. */
const ARM_LIMIT_MS = 15_000;
/** From the moment at which the letter is stored: at once, or while the settling is under way. */
const LATE_MS_MAX = 4;

export const deadLetterKill: Fault = (context) => {
  const { cluster, deliveries, random } = context;
  const { subscriptions } = deliveries;
  const subscription = subscriptions[random.integer(0, subscriptions.length)];
  const topic = subscription?.deadLetterTopic;
  const letters = topic === undefined ? undefined : cluster.groupOf(topic, 0);
  if (subscription === undefined || letters === undefined) return false;
  const lateMs = random.next() < 0.5 ? 0 : random.next() * LATE_MS_MAX;
  const endMs = cluster.world.nowMs + ARM_LIMIT_MS;
  let end = endOf(cluster.leaderOf(letters)?.node?.partitions.get(letters));
  const disarm = cluster.whenApplied((broker, group) => {
    if (cluster.world.nowMs > endMs) disarm();
    if (group !== letters || cluster.leaderOf(letters) !== broker) return;
    const before = end;
    end = endOf(broker.node?.partitions.get(letters));
    const victim = end > before ? subscription.leaderOfDead() : undefined;
    if (victim === undefined || !isRunning(victim)) return;
    disarm();
    cluster.world.schedule(lateMs, () => {
      if (!victim.host.isUp) return;
      context.begin([victim]);
      context.bit();
      victim.kill({ kind: "process" });
      context.lasting(() => victim.boot());
    });
  });
  return true;
};

function endOf(partition: { readonly highWatermark: number } | undefined): number {
  return partition?.highWatermark ?? 0;
}
