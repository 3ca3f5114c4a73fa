// Rows of subscriptions with their index by name. Part of the metadata state; pure. What may change and why is decided in
// subscription-state.ts; readers outside the state get a SubscriptionIndex.
import { assert } from "../base/assert.ts";
import type { SubscriptionRow } from "../model/subscription.ts";

export class SubscriptionTable {
  readonly rows: Map<string, SubscriptionRow> = new Map();
  readonly #ids: Map<string, string> = new Map();

  byName(name: string): SubscriptionRow | undefined {
    const id = this.#ids.get(name);
    return id === undefined ? undefined : this.rows.get(id);
  }

  /** Puts a row in; its name must be free or its own. */
  put(row: SubscriptionRow): void {
    const { subscriptionId } = row;
    const { name } = row.definition;
    const holder = this.#ids.get(name);
    assert(holder === undefined || holder === subscriptionId, "subscription name taken", { name });
    this.rows.set(subscriptionId, row);
    this.#ids.set(name, subscriptionId);
  }

  remove(row: SubscriptionRow): void {
    this.rows.delete(row.subscriptionId);
    this.#ids.delete(row.definition.name);
  }

  clear(): void {
    this.rows.clear();
    this.#ids.clear();
  }
}
