import { describe, expect, test } from "vitest";
import { deferred } from "../../src/base/deferred.ts";
import type { RunningBroker } from "../../src/broker/start.ts";
import { supervise } from "../../src/cli/commands/broker.ts";
import { settle } from "../support/virtual-clock.ts";

/** A broker that is told to stop, or fails, and never finishes on its own. */
class StuckBroker implements RunningBroker {
  readonly #end = deferred<Error | undefined>();
  readonly closed: Promise<Error | undefined> = this.#end.promise;
  closings = 0;

  close(): Promise<void> {
    this.closings += 1;
    return Promise.race([]);
  }

  end(failure?: Error): void {
    this.#end.resolve(failure);
  }
}

async function setUp(): Promise<{
  broker: StuckBroker;
  fail: () => void;
  interrupt: () => void;
  arms: () => number;
  ended: Promise<Error | undefined>;
}> {
  const broker = new StuckBroker();
  const abort = new AbortController();
  let arms = 0;
  let fail = (): void => undefined;
  const start = (onFailing: () => void): Promise<RunningBroker> => {
    fail = onFailing;
    return Promise.resolve(broker);
  };
  const ended = supervise(start, abort.signal, () => {
    arms += 1;
  });
  await settle();
  return { broker, fail: () => fail(), interrupt: () => abort.abort(), arms: () => arms, ended };
}

describe("a broker that cannot finish", () => {
  test("after a signal: the process ends anyway", async () => {
    const { arms, broker, interrupt } = await setUp();
    expect(arms()).toBe(0);
    interrupt();
    expect([arms(), broker.closings]).toEqual([1, 1]);
  });

  test("after a failure: the process ends anyway, at a time that a signal does not put off", async () => {
    const { arms, broker, ended, fail, interrupt } = await setUp();
    fail();
    expect(arms()).toBe(1);
    interrupt();
    expect(arms()).toBe(1);
    broker.end(new Error("no disk"));
    expect((await ended)?.message).toBe("no disk");
  });
});
