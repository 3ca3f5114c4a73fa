// Random faults against three replicas on virtual time: whatever was acknowledged must be there afterwards, on all of them.
// In an async group power goes only where no entry is lost by two of the three: then nothing acknowledged may be lost either
// (docs/GUARANTEES.md; ADR 0012).
import { describe, expect, it } from "vitest";
import type { Random } from "../../src/base/random.ts";
import type { NodeId } from "../../src/model/ids.ts";
import type { LogIndex } from "../../src/model/positions.ts";
import { advanceDraft, setDraft } from "../support/ledger-machine.ts";
import { type ClusterOptions, ReplicaCluster } from "../support/replica-cluster.ts";

const ROUNDS = 60;

class Nemesis {
  readonly cluster: ReplicaCluster;
  readonly #random: Random;
  readonly #isSync: boolean;
  /** Entries that were not flushed when power went, and whose they were. */
  readonly #lostBy = new Map<string, Set<NodeId>>();
  readonly #down = new Set<NodeId>();
  readonly acked = new Map<string, string>();
  /** (index → key): what was acknowledged where. No index may be acknowledged twice. */
  readonly #indexes = new Map<LogIndex, string>();
  #proposed = 0;

  constructor(options: ClusterOptions) {
    this.cluster = new ReplicaCluster({ segmentBytes: 1024, tailBytesMax: 1024, ...options });
    this.#random = this.cluster.random;
    this.#isSync = options.flush === "sync";
  }

  async run(): Promise<void> {
    await this.cluster.start();
    for (let round = 0; round < ROUNDS; round += 1) {
      this.#write();
      await this.cluster.clock.run(this.#random.integer(1, 400));
      await this.#act();
    }
    this.cluster.network.heal();
    this.cluster.network.options = { ...this.cluster.network.options, lossRate: 0 };
    for (const nodeId of this.#down) await this.cluster.restart(nodeId);
    await this.cluster.leader();
    await this.cluster.putMany(1, 1_000_000);
    await this.cluster.converge();
    // Marks go with the next heartbeats and a lazy flush.
    await this.cluster.clock.run(2000);
  }

  #write(): void {
    for (const node of this.cluster.live()) {
      if (!node.replica.isLeaderReady) continue;
      const count = this.#random.integer(1, 10);
      for (let n = 0; n < count; n += 1) this.#propose(node.nodeId);
      const { appliedIndex } = node.replica.watermarks;
      const isLogStartDue = this.#random.next() < 0.3 && appliedIndex > 20;
      if (isLogStartDue) node.replica.propose(advanceDraft(appliedIndex - 5));
    }
  }

  #propose(nodeId: NodeId): void {
    this.#proposed += 1;
    const key = `k${this.#proposed}`;
    const { replica } = this.cluster.node(nodeId);
    const index = replica.status().lastIndex + 1;
    replica.proposeAndApply(setDraft(key, `${nodeId}`, this.#random.integer(0, 300))).then(
      () => {
        expect(this.#indexes.get(index)).toBeUndefined();
        this.#indexes.set(index, key);
        this.acked.set(key, `${nodeId}`);
      },
      () => undefined,
    );
  }

  #mayCutPower(nodeId: NodeId): boolean {
    if (this.#isSync) return true;
    const { replica } = this.cluster.node(nodeId);
    const { flushedIndex, lastIndex } = replica.status();
    const atRisk: string[] = [];
    for (let index = flushedIndex + 1; index <= lastIndex; index += 1) {
      atRisk.push(`${replica.termAt(index)}/${index}`);
    }
    const isOthersLoss = (entry: string): boolean =>
      [...(this.#lostBy.get(entry) ?? [])].some((loser) => loser !== nodeId);
    if (atRisk.some(isOthersLoss)) return false;
    for (const entry of atRisk) {
      this.#lostBy.set(entry, (this.#lostBy.get(entry) ?? new Set()).add(nodeId));
    }
    return true;
  }

  get lostCount(): number {
    return this.#lostBy.size;
  }

  async #act(): Promise<void> {
    const { cluster } = this;
    const random = this.#random;
    const nodeId = cluster.nodeIds[random.integer(0, cluster.nodeIds.length)] ?? cluster.nodeIds[0];
    const dice = random.next();
    if (this.#down.has(nodeId)) {
      this.#down.delete(nodeId);
      await cluster.restart(nodeId);
    } else if (dice < 0.2) {
      this.#down.add(nodeId);
      const isPower = random.next() < 0.6 && this.#mayCutPower(nodeId);
      await cluster.crash(nodeId, isPower ? "power" : "process", random);
    } else if (dice < 0.4) {
      cluster.network.isolate(nodeId, cluster.nodeIds);
    } else if (dice < 0.5) {
      const other = cluster.nodeIds[random.integer(0, cluster.nodeIds.length)] ?? nodeId;
      cluster.network.cut(nodeId, other);
    } else if (dice < 0.7) {
      cluster.network.heal();
    } else if (dice < 0.8) {
      const lossRate = random.next() < 0.5 ? 0 : 0.2;
      cluster.network.options = { ...cluster.network.options, lossRate };
    }
  }
}

describe("random faults", () => {
  for (const flush of ["sync", "async"] as const) {
    const name = `acknowledged entries survive on all replicas (flush ${flush})`;
    it(name, { timeout: 120_000 }, async () => {
      let acked = 0;
      let images = 0;
      let lost = 0;
      let recovered = 0;
      for (let seed = 1; seed <= 12; seed += 1) {
        const nemesis = new Nemesis({ seed, flush, syncMs: seed % 3 });
        await nemesis.run().catch((error: unknown) => {
          throw new Error(`seed ${seed}`, { cause: error });
        });
        nemesis.cluster.checkFailures();
        for (const node of nemesis.cluster.live()) {
          images += node.counters.get("images_installed") ?? 0;
          recovered += node.counters.get("recoveries_finished") ?? 0;
          expect(node.replica.record.recovering, `seed ${seed}`).toBe(false);
          for (const [key, value] of nemesis.acked) {
            expect(node.machine.get(key), `seed ${seed} ${key}`).toBe(value);
          }
        }
        acked += nemesis.acked.size;
        lost += nemesis.lostCount;
      }
      // The faults must leave something to lose, and images must have been among the ways to recover.
      expect(acked).toBeGreaterThan(500);
      expect(images).toBeGreaterThan(0);
      if (flush === "async") {
        expect(lost).toBeGreaterThan(10);
        expect(recovered).toBeGreaterThan(5);
      }
    });
  }
});
