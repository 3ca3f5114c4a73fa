// grpc.health.v1 for load balancers and probes. The broker sets the statuses; on shutdown it sets NOT_SERVING before it
// drains.
import type { Server } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import type { ServerExtension } from "./server.ts";

/** "": the process as a whole; liveness: it runs; readiness and the service name: it serves clients. */
export const HEALTH_SERVICES = ["", "liveness", "readiness", "flotilla.v1.Broker"] as const;
export type HealthService = (typeof HEALTH_SERVICES)[number];

/** Begins with liveness serving and all else not. */
export class HealthEndpoint implements ServerExtension {
  readonly #health: HealthImplementation;

  constructor() {
    this.#health = new HealthImplementation(
      Object.fromEntries(
        HEALTH_SERVICES.map((name) => [name, name === "liveness" ? "SERVING" : "NOT_SERVING"]),
      ),
    );
  }

  /** Watchers are told at once. */
  set(service: HealthService, isServing: boolean): void {
    this.#health.setStatus(service, isServing ? "SERVING" : "NOT_SERVING");
  }

  /** Everything but liveness. */
  setReady(isReady: boolean): void {
    for (const name of HEALTH_SERVICES) if (name !== "liveness") this.set(name, isReady);
  }

  addToServer(server: Server): void {
    this.#health.addToServer(server);
  }
}
