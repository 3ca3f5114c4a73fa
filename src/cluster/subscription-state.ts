// What the commands about subscriptions do to the metadata. Called by metadata-state.ts; pure. What a definition may hold was
// checked by the proposer (subscription-check.ts); what is decided here depends on applied state.
import { SUBSCRIPTION_LIMITS, type SubscriptionRow } from "../model/subscription.ts";
import { type MetadataReply, refused } from "./metadata-reply.ts";
import type { Change, MetadataTable } from "./metadata-table.ts";
import type {
  AlterSubscription,
  CreateSubscription,
  SubscriptionCommand,
} from "./subscription-commands.ts";

/** @returns the subscription's id and version */
export function applySubscriptionCommand(
  table: MetadataTable,
  command: SubscriptionCommand,
  change: Change,
): MetadataReply {
  if (command.type === "create-subscription") return create(table, command, change);
  const row = table.subscriptions.rows.get(command.subscriptionId);
  if (row === undefined) return unknown(command.subscriptionId);
  if (command.type === "alter-subscription") return alter(table, row, command, change);
  table.removeSubscription(change, row);
  return done(row);
}

function create(table: MetadataTable, command: CreateSubscription, change: Change): MetadataReply {
  const { definition, subscriptionId } = command;
  const { name } = definition;
  const holder = table.subscriptions.byName(name);
  // The same id under the same name is a repeated proposal of a creation whose outcome the proposer did not learn.
  if (holder?.subscriptionId === subscriptionId) return done(holder);
  if (holder !== undefined) {
    return refused("SUBSCRIPTION_EXISTS", `subscription "${name}" exists already`, {
      subscription: name,
    });
  }
  if (table.subscriptions.rows.has(subscriptionId)) {
    return refused("INVALID_REQUEST", "the subscription id was used before", {
      field: "subscriptionId",
    });
  }
  const limit = SUBSCRIPTION_LIMITS.subscriptions;
  if (table.subscriptions.rows.size >= limit) {
    return refused("OVERLOADED", `the cluster has ${limit} subscriptions`, {
      limit: "subscriptions",
    });
  }
  const { index } = change;
  const row = { subscriptionId, createdIndex: index, version: index, definition };
  table.putSubscription(change, row);
  return done(row);
}

function alter(
  table: MetadataTable,
  row: SubscriptionRow,
  command: AlterSubscription,
  change: Change,
): MetadataReply {
  const { definition, version } = command;
  const before = row.definition;
  // As it is already: so a repeated proposal finds what it did itself.
  if (isSame(before, definition)) return done(row);
  if (version !== 0 && version !== row.version) {
    return refused("VERSION_CONFLICT", `subscription "${before.name}" changed meanwhile`, {
      subscription: before.name,
      version: row.version,
    });
  }
  const fixed = (["name", "mode", "start"] as const).find(
    (field) => !isSame(before[field], definition[field]),
  );
  if (fixed !== undefined) {
    return refused("INVALID_REQUEST", `the ${fixed} of a subscription cannot be altered`, {
      field: fixed,
      limit: "as it was created",
    });
  }
  const altered = { ...row, version: change.index, definition };
  table.putSubscription(change, altered);
  return done(altered);
}

/** Both come out of the same decoder: equal values have equal texts. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function done({ subscriptionId, version }: SubscriptionRow): MetadataReply {
  return { ok: { subscriptionId, version } };
}

function unknown(subscriptionId: string): MetadataReply {
  return refused("UNKNOWN_SUBSCRIPTION", "no subscription has that id", { subscriptionId });
}
