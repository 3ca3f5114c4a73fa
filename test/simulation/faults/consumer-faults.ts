// Faults of consumers, whose hosts die, stand still or hear nothing with what they hold, or that do not know when they are over;
// and orders to subscriptions: paused and resumed, moved to another position. Brokers notice only what consumers' connections say.
import type { SimConsumer } from "../delivery/sim-consumer.ts";
import type { SimSubscription } from "../delivery/sim-subscription.ts";
import type { Fault, FaultContext } from "./fault.ts";

/** SIGKILL of an application. It comes back after a while. */
export const consumerKill: Fault = (context) => {
  const consumer = pickConsumer(context);
  if (consumer === undefined) return false;
  context.begin([]);
  if ([...consumer.held.values()].some((count) => count > 0)) context.bit();
  consumer.kill();
  context.lasting(() => consumer.start());
  return true;
};

/** SIGSTOP, SIGCONT. */
export const consumerPause: Fault = (context) => {
  const consumer = pickConsumer(context);
  if (consumer === undefined) return false;
  const { host } = consumer;
  const { generation } = host;
  context.begin([]);
  const reach = consumer.unreachable();
  host.pause();
  context.lasting(() => {
    if (host.generation !== generation) return;
    reach();
    if (host.resume() > 0) context.bit();
  });
  return true;
};

/**
 * Nothing reaches it, while brokers hear it: it works on, and settles, what was taken from it long ago. Others are as slow as
 * it meanwhile, so that what it settles is in their hands.
 */
export const consumerDeaf: Fault = (context) => {
  const { network, brokers } = context.cluster;
  const subscription = pickSubscription(context);
  const consumer = pickConsumerOf(context, subscription);
  if (consumer === undefined) return false;
  const { host } = consumer;
  const clogged = brokers
    .flatMap((broker) => network.between(host, broker.host))
    .map((pipe) => pipe.clog(false));
  if (clogged.length === 0) return false;
  context.begin([]);
  const reach = consumer.unreachable();
  for (const one of subscription?.consumers ?? []) one.isSlow = true;
  context.lasting(() => {
    if (clogged.some(({ held }) => held() > 0)) context.bit();
    for (const one of subscription?.consumers ?? []) one.isSlow = false;
    reach();
    for (const { end } of clogged) end();
  });
  return true;
};

/** One more consumer for a while, that acknowledges what was taken from it. */
export const consumerZombie: Fault = (context) => {
  const zombie = pickSubscription(context)?.haunt(context.random, () => context.bit());
  if (zombie === undefined) return false;
  context.begin([]);
  context.lasting(() => zombie.end());
  return true;
};

export const subscriptionPause: Fault = (context) => {
  const subscription = pickSubscription(context);
  if (subscription === undefined || subscription.isToBePaused) return false;
  context.begin([]);
  subscription.pause(() => context.bit());
  context.lasting(() => subscription.resume());
  return true;
};

export const subscriptionSeek: Fault = (context) => {
  const subscription = pickSubscription(context);
  if (subscription === undefined) return false;
  context.begin([]);
  subscription.seek(context.random, () => context.bit());
  return true;
};

function pickSubscription({ deliveries, random }: FaultContext): SimSubscription | undefined {
  return deliveries.subscriptions[random.integer(0, deliveries.subscriptions.length)];
}

function pickConsumer(context: FaultContext): SimConsumer | undefined {
  return pickConsumerOf(context, pickSubscription(context));
}

function pickConsumerOf(
  context: FaultContext,
  subscription: SimSubscription | undefined,
): SimConsumer | undefined {
  const up = subscription?.consumers.filter(({ host }) => host.isUp && !host.isPaused);
  return up?.[context.random.integer(0, up.length)];
}
