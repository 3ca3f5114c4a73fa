// One link as a TCP proxy: what one node dials of another goes through here, and can be held back in either direction, made
// slow, or broken off. Used by proxies.ts.
import { connect, createServer, type Server, type Socket } from "node:net";

export interface LinkCounts {
  /** Chunks held back, by direction. */
  heldUp: number;
  heldDown: number;
  resets: number;
  slowed: number;
}

interface Pair {
  readonly dialer: Socket;
  readonly target: Socket;
  /** Bytes passed on, by direction. */
  readonly carried: Record<Direction, number>;
  /** Carries nothing any more. */
  isForgotten: boolean;
}

type Direction = "up" | "down";

/** What one connection has carried in a direction. */
export interface Carried {
  readonly bytes: number;
  /** From now on it carries nothing, in no direction. */
  forget(): void;
}

const SLOW_MS = 400;

/** Up: from the dialer to the target; down: back. */
export class LinkProxy {
  readonly counts: LinkCounts = { heldUp: 0, heldDown: 0, resets: 0, slowed: 0 };
  readonly #pairs = new Set<Pair>();
  readonly #server: Server;
  readonly #host: string;
  readonly #port: number;
  #blocksUp = false;
  #blocksDown = false;
  #refuses = false;
  #delayMs = 0;

  private constructor(server: Server, host: string, port: number) {
    this.#server = server;
    this.#host = host;
    this.#port = port;
    server.on("connection", (dialer) => this.#accept(dialer));
  }

  /** Listens on loopback for what is meant for `host:port`. */
  static async open(host: string, port: number): Promise<LinkProxy> {
    const server = createServer({ allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return new LinkProxy(server, host, port);
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  blockUp(): void {
    this.#blocksUp = true;
  }

  blockDown(): void {
    this.#blocksDown = true;
  }

  /** The connections that work. */
  carried(direction: Direction): Carried[] {
    const working = [...this.#pairs].filter(({ isForgotten }) => !isForgotten);
    return working.map((pair) => ({
      bytes: pair.carried[direction],
      forget: () => {
        pair.isForgotten = true;
      },
    }));
  }

  slow(): void {
    this.#delayMs = SLOW_MS;
  }

  /** Ends what is connected with a reset, and everything that connects until heal(). */
  refuse(): void {
    this.#refuses = true;
    this.#reset(this.#pairs);
  }

  /** Connections that were held back end: what they carried is lost, as after a long silence. */
  heal(): void {
    if (this.#blocksUp || this.#blocksDown) this.#reset(this.#pairs);
    else this.#reset([...this.#pairs].filter(({ isForgotten }) => isForgotten));
    this.#blocksUp = false;
    this.#blocksDown = false;
    this.#refuses = false;
    this.#delayMs = 0;
  }

  async close(): Promise<void> {
    this.#reset(this.#pairs);
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(dialer: Socket): void {
    if (this.#refuses) {
      this.counts.resets += 1;
      dialer.resetAndDestroy();
      return;
    }
    const address = { host: this.#host, port: this.#port, allowHalfOpen: true, isDirect: true };
    const target = connect(address);
    const pair = { dialer, target, carried: { up: 0, down: 0 }, isForgotten: false };
    this.#pairs.add(pair);
    this.#pipe(pair, dialer, target, "up");
    this.#pipe(pair, target, dialer, "down");
  }

  #pipe(pair: Pair, from: Socket, to: Socket, direction: Direction): void {
    from.setNoDelay(true);
    const isBlocked = (): boolean =>
      pair.isForgotten || (direction === "up" ? this.#blocksUp : this.#blocksDown);
    const pass = (run: () => void): void => {
      if (isBlocked()) {
        if (direction === "up") this.counts.heldUp += 1;
        else this.counts.heldDown += 1;
      } else if (this.#delayMs > 0) {
        this.counts.slowed += 1;
        setTimeout(run, this.#delayMs);
      } else run();
    };
    from.on("data", (chunk: Buffer) =>
      pass(() => {
        pair.carried[direction] += chunk.length;
        if (!to.destroyed && !to.write(chunk)) from.pause();
      }),
    );
    to.on("drain", () => from.resume());
    // Nor does the other side hear that it ended, while nothing gets through.
    from.on("end", () => {
      if (!isBlocked()) to.end();
    });
    from.on("error", () => this.#end(pair));
    from.on("close", () => {
      if (!isBlocked()) this.#end(pair);
    });
  }

  #end(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.dialer.destroy();
    pair.target.destroy();
  }

  #reset(pairs: Iterable<Pair>): void {
    for (const pair of pairs) {
      this.#pairs.delete(pair);
      this.counts.resets += 1;
      pair.dialer.resetAndDestroy();
      pair.target.resetAndDestroy();
    }
  }
}
