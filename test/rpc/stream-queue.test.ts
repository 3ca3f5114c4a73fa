import { EventEmitter } from "node:events";
import type { Http2Session, ServerHttp2Stream } from "node:http2";
import { describe, expect, test } from "vitest";
import { StreamQueue } from "../../src/rpc/stream-queue.ts";
import { VirtualClock } from "../partition/fixture.ts";

class Stub extends EventEmitter {
  destroyed = false;
  closed = false;
  headersSent = false;
  session: Http2Session | undefined;

  close(): void {
    this.closed = true;
    this.emit("close");
  }
}

function stream(session: Http2Session | undefined): Stub {
  return Object.assign(new Stub(), { session });
}

const session = (): Http2Session => ({}) as Http2Session;

class Fixture {
  readonly clock = new VirtualClock();
  readonly queue = new StreamQueue(this.clock);
  readonly begun: string[] = [];

  add(one: Stub, name: string): void {
    this.queue.add(one as unknown as ServerHttp2Stream, () => this.begun.push(name));
  }
}

describe("stream queue", () => {
  test("the first calls of a turn begin at once, the others in the next turns", async () => {
    const f = new Fixture();
    const only = session();
    for (let at = 0; at < 70; at += 1) f.add(stream(only), `${at}`);
    expect(f.begun).toHaveLength(32);
    await f.clock.advance(0);
    expect(f.begun.length).toBeGreaterThanOrEqual(64);
    await f.clock.advance(10);
    expect(f.begun).toEqual(Array.from({ length: 70 }, (_, at) => `${at}`));
  });

  test("a connection with one call does not wait for another one's hundreds", async () => {
    const f = new Fixture();
    const greedy = session();
    for (let at = 0; at < 250; at += 1) f.add(stream(greedy), `greedy ${at}`);
    f.add(stream(session()), "modest");
    expect(f.begun).toHaveLength(32);
    await f.clock.advance(0);
    expect(f.begun.indexOf("modest")).toBe(33);
  });

  test("calls that are gone before their turn never begin, and cost none", async () => {
    const f = new Fixture();
    const only = session();
    const streams = Array.from({ length: 100 }, () => stream(only));
    for (const [at, one] of streams.entries()) f.add(one, `${at}`);
    for (const one of streams.slice(32, 80)) one.close();
    for (const one of streams.slice(80, 90)) one.destroyed = true;
    // Refused meanwhile, and not closed yet.
    for (const one of streams.slice(90, 95)) one.headersSent = true;
    await f.clock.advance(0);
    expect(f.begun.slice(32)).toEqual(["95", "96", "97", "98", "99"]);
  });

  test("one without a connection is gone already", () => {
    const f = new Fixture();
    f.add(stream(undefined), "gone");
    expect(f.begun).toEqual([]);
  });
});
