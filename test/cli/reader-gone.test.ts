// `flotilla consume | head`: what nobody read goes back to the subscription, without counting as failed.
import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { deferred } from "../../src/base/deferred.ts";
import { EXIT } from "../../src/cli/exit-codes.ts";
import { consumeWith } from "../../src/cli/sdk-consume.ts";
import { processTerminal, ReaderGone } from "../../src/cli/terminal.ts";
import { fill, offsets, setUp } from "../client/consumer-setup.ts";

/** Takes so many writes, then breaks as a pipe without a reader does. */
class Pipe extends Writable {
  readonly taken: string[] = [];
  readonly #writesMax: number;
  readonly #code: string;

  constructor(writesMax: number, code = "EPIPE") {
    super({ autoDestroy: false });
    this.#writesMax = writesMax;
    this.#code = code;
  }

  override _write(chunk: Buffer, _: string, done: (error?: Error) => void): void {
    if (this.taken.length >= this.#writesMax) {
      done(Object.assign(new Error("broken"), { code: this.#code }));
      return;
    }
    this.taken.push(chunk.toString());
    done();
  }
}

describe("terminal: a reader that is gone", () => {
  it("is told to who awaits a write, also later; the process goes on", async () => {
    const exits: number[] = [];
    const out = new Pipe(1);
    const terminal = processTerminal({ out, exit: (code) => exits.push(code) });
    await terminal.write("a");
    await expect(terminal.write("b")).rejects.toBeInstanceOf(ReaderGone);
    await expect(terminal.write("c")).rejects.toBeInstanceOf(ReaderGone);
    await new Promise((resolve) => setImmediate(resolve));
    expect([out.taken, exits]).toEqual([["a"], []]);
  });

  it.each([
    ["EPIPE", EXIT.OK],
    ["EIO", EXIT.FAILED],
  ])("ends the process when nobody awaits: %s", async (code, status) => {
    const exits: number[] = [];
    const terminal = processTerminal({ out: new Pipe(0, code), exit: (one) => exits.push(one) });
    terminal.line("a");
    await new Promise((resolve) => setImmediate(resolve));
    expect(exits).toEqual([status]);
  });
});

describe("consume: a reader that is gone", () => {
  it.each([true, false])(
    "acked %s: nothing fails, nothing that was not read is acknowledged",
    async (isAcked) => {
      const setup = setUp();
      const { client, subscription, time } = setup;
      // More than a batch.
      const sent = isAcked ? 1200 : 40;
      await fill(setup, 0, sent);
      const read: number[] = [];
      const both = deferred<void>();
      const consuming = consumeWith(client, {
        ...{ subscription: "s", concurrency: 3, isAcked, countMax: Number.POSITIVE_INFINITY },
        signal: new AbortController().signal,
        write: async (messages) => {
          if (read.length > 0) {
            await both.promise;
            throw new ReaderGone("gone");
          }
          read.push(...messages.map(({ offset }) => offset));
          if (isAcked) setup.time.fork().schedule(100, () => both.resolve());
          else both.resolve();
        },
      });
      await expect(time.until(consuming)).rejects.toBeInstanceOf(ReaderGone);
      await time.run(1000);
      const kinds = new Set(subscription.events.map(({ kind }) => kind));
      kinds.delete("begun");
      expect([...kinds].sort()).toEqual(isAcked ? ["ack", "release"] : ["release"]);
      expect(subscription.acked()).toEqual(isAcked ? read : []);
      expect([...(subscription.partitions[0]?.failed ?? [])]).toEqual([]);
      expect(offsets(0, sent)).toEqual(expect.arrayContaining(read));
    },
  );
});
