// The consumers of a run: starts their processes, writes down what they report, kills them, and replaces them.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { DeliveryRecorder } from "../../src/testkit/index.ts";
import { waitUntil } from "../chaos/waiting.ts";
import { type MemberEvents, MemberSink } from "./member-sink.ts";
import { type ConsumerOrder, isReport, replay } from "./wire.ts";

const PROGRAM = fileURLToPath(new URL("./consumer-process.ts", import.meta.url));
const READY_TIMEOUT_MS = 60_000;

interface Member {
  readonly name: string;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  isReady: boolean;
  isKilled: boolean;
  /** Was asked to end. */
  isClosing: boolean;
  readonly sink: MemberSink;
}

export interface FleetEvents extends MemberEvents {
  problem(text: string): void;
}

export interface FleetOptions {
  readonly order: Omit<ConsumerOrder, "consumer" | "seed">;
  readonly recorder: DeliveryRecorder;
  readonly seed: number;
  readonly events: FleetEvents;
}

export class ConsumerFleet {
  readonly #options: FleetOptions;
  readonly #members: Member[] = [];
  #started = 0;
  /** Kills of consumers that worked on something. */
  bites = 0;
  kills = 0;

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Resolves when the new process is at work. */
  async add(): Promise<void> {
    this.#started += 1;
    const { order, recorder, seed } = this.#options;
    const consumer = `c${this.#started}`;
    const mine: ConsumerOrder = { ...order, consumer, seed: seed + this.#started };
    const { subscription } = order;
    const atMs = performance.now();
    recorder.note({
      ...{ type: "consumer", atMs, subscription, consumer, phase: "started", reportsBegun: true },
    });
    const child = fork(PROGRAM, [JSON.stringify(mine)], { serialization: "advanced" });
    const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
    const member: Member = {
      ...{ name: consumer, child, ended, isReady: false },
      ...{ isKilled: false, isClosing: false },
      sink: new MemberSink(recorder, this.#options.events),
    };
    child.on("message", (message) => this.#take(member, message));
    child.once("exit", (code, signal) => {
      const how = code ?? signal ?? "?";
      if (member.isKilled || (member.isClosing && code === 0)) return;
      const when = member.isClosing ? "broke off while it closed" : "ended by itself";
      this.#options.events.problem(`consumer ${consumer} ${when}: ${how}`);
    });
    this.#members.push(member);
    await waitUntil("a consumer at work", READY_TIMEOUT_MS, () => member.isReady);
  }

  /** Somebody works on something. */
  get isBusy(): boolean {
    return this.#alive().some(({ sink }) => sink.held > 0);
  }

  /** SIGKILL for one of them, by preference one that works on something. Returns whether it did. */
  kill(choose: (count: number) => number): boolean {
    const alive = this.#alive();
    const busy = alive.filter(({ sink }) => sink.held > 0);
    const candidates = busy.length > 0 ? busy : alive;
    const victim = candidates[choose(candidates.length)];
    if (victim === undefined) return false;
    const isIdle = victim.sink.held === 0;
    this.#note(victim, "killed");
    victim.isKilled = true;
    victim.child.kill("SIGKILL");
    this.kills += 1;
    if (isIdle) return false;
    this.bites += 1;
    return true;
  }

  /** In good order: what is begun is ended. One that fails meanwhile is a problem. */
  async stop(): Promise<void> {
    for (const member of this.#alive()) {
      this.#note(member, "closing");
      member.isClosing = true;
      member.child.kill("SIGTERM");
    }
    await Promise.all(this.#members.map(({ ended }) => ended));
  }

  /** At once. */
  end(): void {
    for (const member of this.#members) {
      member.isKilled = true;
      member.child.kill("SIGKILL");
    }
  }

  #alive(): Member[] {
    return this.#members.filter(({ child, isKilled, isReady }) => {
      return isReady && !isKilled && child.exitCode === null && child.signalCode === null;
    });
  }

  #note({ name: consumer }: Member, phase: "killed" | "closing"): void {
    const { order, recorder } = this.#options;
    const { subscription } = order;
    recorder.note({ type: "consumer", atMs: performance.now(), subscription, consumer, phase });
  }

  #take(member: Member, message: unknown): void {
    const { events } = this.#options;
    if (!isReport(message)) {
      events.problem(`consumer ${member.name} said something strange`);
      return;
    }
    if (message.kind === "ready") member.isReady = true;
    else if (message.kind === "failed") {
      events.problem(`consumer ${member.name} failed: ${message.reason}`);
    } else for (const row of message.rows) replay(row, member.sink);
  }
}
