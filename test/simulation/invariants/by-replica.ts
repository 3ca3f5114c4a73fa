// A table by group and replica, asked many times per event: two numbers need no text that is put together and hashed for
// each question. Used by disk-view.ts.
import type { GroupId, ReplicaId } from "../../../src/model/ids.ts";

export class ByReplica<Value extends object> {
  readonly #groups = new Map<GroupId, Map<ReplicaId, Value>>();
  /** In the order in which their keys came first. */
  readonly #order: (readonly [Map<ReplicaId, Value>, ReplicaId])[] = [];

  get(groupId: GroupId, replicaId: ReplicaId): Value | undefined {
    return this.#groups.get(groupId)?.get(replicaId);
  }

  set(groupId: GroupId, replicaId: ReplicaId, value: Value): void {
    let group = this.#groups.get(groupId);
    if (group === undefined) {
      group = new Map();
      this.#groups.set(groupId, group);
    }
    if (!group.has(replicaId)) this.#order.push([group, replicaId]);
    group.set(replicaId, value);
  }

  values(): Value[] {
    return this.#order.flatMap(([group, replicaId]) => group.get(replicaId) ?? []);
  }
}
