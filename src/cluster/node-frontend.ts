// The life of nodes in the metadata: each node registers itself at start (NodeRegistration), and the metadata leader
// fences nodes that fell silent, unfences those that came back, moves on what decommissioned ones still hold and unregisters
// those that hold nothing any more (NodeFencing). The broker starts and stops both.
import type { Clock } from "../base/clock.ts";
import { sleep } from "../base/clock.ts";
import { deferred } from "../base/deferred.ts";
import type { Random } from "../base/random.ts";
import { BrokerError, isBrokerError } from "../model/errors.ts";
import { type GroupId, METADATA_GROUP, type ReplicaId } from "../model/ids.ts";
import type { LogIndex } from "../model/positions.ts";
import type { Liveness } from "./liveness.ts";
import type { ContinueDecommission, UnregisterNode } from "./member-commands.ts";
import type { FenceNode, RegisterNode, UnfenceNode } from "./metadata-commands.ts";
import type { MetadataController } from "./metadata-controller.ts";
import type { MetadataView } from "./metadata-image.ts";
import { numberOf } from "./metadata-reply.ts";
import type { ControllerClient, Logger } from "./ports.ts";
import { planContinuations, planRemovals } from "./removal-plan.ts";

/**
 * Pause after a failed registration, ms: doubles from the first to the last value, with ± 25 % of
 * chance.
 */
export const REGISTRATION_RETRY_MS = { first: 100, last: 2000 } as const;
/** How often the metadata leader looks for silent nodes, ms. */
export const FENCING_INTERVAL_MS = 500;

/** What a node learns from its registration. */
export interface Registered {
  /** Index of the entry that registered this incarnation: the node's epoch. */
  readonly registeredIndex: LogIndex;
  /** Revision of this node's metadata replica (see NodeRow). */
  readonly metadataRevision: number;
  readonly featureLevel: number;
}

export interface NodeRegistrationOptions {
  readonly controller: ControllerClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class NodeRegistration {
  readonly #options: NodeRegistrationOptions;

  constructor(options: NodeRegistrationOptions) {
    this.#options = options;
  }

  /**
   * Registers; repeats until it succeeds, is refused for good, or `signal` is aborted.
   *
   * A foreign directory is retried: the former process of this node counts as alive until its
   * session ends.
   * @throws BrokerError NODE_FENCED for a newer incarnation, a retired directory or a feature level
   * out of range: this process must stop; CANCELLED when the signal was aborted
   */
  async register(command: RegisterNode, signal: AbortSignal): Promise<Registered> {
    const { clock, controller, log, random } = this.#options;
    for (let attempt = 0; ; attempt += 1) {
      throwIfAborted(signal);
      try {
        const result = await controller.propose(command);
        return {
          registeredIndex: numberOf(result, "registeredIndex"),
          metadataRevision: numberOf(result, "metadataRevision"),
          featureLevel: numberOf(result, "featureLevel"),
        };
      } catch (error) {
        if (!isBrokerError(error) || isFinal(error)) throw error;
        if (attempt % 10 === 0) {
          log.info(
            { nodeId: command.nodeId, reason: error.reason },
            "registration is being retried",
          );
        }
      }
      const delayMs = Math.min(
        REGISTRATION_RETRY_MS.last,
        REGISTRATION_RETRY_MS.first * 2 ** Math.min(attempt, 10),
      );
      await pause(clock, delayMs * (0.75 + random.next() / 2), signal);
    }
  }
}

function isFinal(error: BrokerError): boolean {
  if (error.reason !== "NODE_FENCED") return error.retry === "never";
  return error.fields["cause"] !== "foreign-directory";
}

function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new BrokerError("CANCELLED", "registration was given up");
}

async function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(clock, delayMs, signal);
  } catch (error) {
    throw new BrokerError("CANCELLED", "registration was given up", {}, { cause: error });
  }
}

export interface NodeFencingOptions {
  readonly controller: MetadataController;
  readonly view: MetadataView;
  readonly liveness: Liveness;
  /** Voters of the metadata group, as this node's replica knows them. */
  readonly metadataVoters: () => readonly ReplicaId[];
  /** Groups led here whose members are not known for good yet (membership-reconciler.ts). */
  readonly unproven: () => readonly GroupId[];
  readonly clock: Clock;
  readonly log: Logger;
}

/** Runs on every node; does something only while its metadata replica leads. */
export class NodeFencing {
  readonly #options: NodeFencingOptions;
  #wasLeader = false;
  #cancel: (() => void) | undefined;
  #round: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: NodeFencingOptions) {
    this.#options = options;
  }

  start(): void {
    this.#schedule();
  }

  /** Resolves when no round runs any more. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel?.();
    await this.#round;
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#cancel = this.#options.clock.schedule(FENCING_INTERVAL_MS, () => {
      const done = deferred<void>();
      this.#round = done.promise;
      void this.#runOnce().then(() => {
        done.resolve();
        this.#schedule();
      });
    });
  }

  /** One round; never rejects. */
  async #runOnce(): Promise<void> {
    const { clock, controller, liveness, log, view } = this.#options;
    const isLeader = controller.isLeader;
    if (isLeader && !this.#wasLeader) liveness.startGrace(clock.monotonicMs());
    this.#wasLeader = isLeader;
    if (!isLeader) return;
    const plan = liveness.fencingPlan(view.image.nodes.values(), clock.monotonicMs());
    const commands: (FenceNode | UnfenceNode | ContinueDecommission | UnregisterNode)[] = [
      ...plan.fence.map(({ nodeId, incarnation }) => ({
        type: "fence-node" as const,
        nodeId,
        incarnation,
      })),
      ...plan.unfence.map(({ nodeId, incarnation }) => ({
        type: "unfence-node" as const,
        nodeId,
        incarnation,
      })),
      ...planContinuations(view.image),
      ...this.#removals(),
    ];
    for (const command of commands) {
      if (this.#closed) return;
      try {
        await controller.propose(command);
        log.info(
          { nodeId: command.nodeId, command: command.type },
          "node changed its service state",
        );
      } catch (error) {
        // The next round sees whether it is still needed, and by whom.
        const reason = isBrokerError(error) ? error.reason : "INTERNAL";
        log.warn({ nodeId: command.nodeId, command: command.type, reason }, "fencing failed");
        return;
      }
    }
  }

  /** None whose vote in the metadata group could come back: its replicas fall back to the members that their logs prove. */
  #removals(): readonly UnregisterNode[] {
    const { metadataVoters, unproven, view } = this.#options;
    const plan = planRemovals(view.image, metadataVoters());
    return plan.length > 0 && unproven().includes(METADATA_GROUP) ? [] : plan;
  }
}
