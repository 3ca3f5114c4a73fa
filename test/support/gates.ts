// Gates for in-process clusters: a disk whose syncs can be made to wait or to fail, and a connector whose bulk lane between
// brokers can be held. With them a test decides which replicas have an entry in memory or on disk when an ack comes.
import type { Disk, DiskFile } from "../../src/log/ports.ts";
import { StorageError } from "../../src/log/ports.ts";
import type { Connection, Connector, MessageStream, Method } from "../../src/rpc/ports.ts";

/** Lets calls pass, or keeps them until it is opened. */
class Gate {
  #isHeld = false;
  #waiting: (() => void)[] = [];

  get isHeld(): boolean {
    return this.#isHeld;
  }

  hold(): void {
    this.#isHeld = true;
  }

  open(): void {
    this.#isHeld = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) run();
  }

  /** In order. */
  pass(run: () => void): void {
    if (this.#isHeld) this.#waiting.push(run);
    else run();
  }
}

/** Holds syncs of files under `groups/`: message logs. Everything else passes. */
export class GatedDisk implements Disk {
  readonly #inner: Disk;
  readonly #gate = new Gate();
  /** From now on every sync of a log fails, as a broken disk's would. */
  isBroken = false;

  constructor(inner: Disk) {
    this.#inner = inner;
  }

  holdSyncs(): void {
    this.#gate.hold();
  }

  releaseSyncs(): void {
    this.#gate.open();
  }

  open(path: string, options: { readonly create: boolean }): DiskFile {
    const file = this.#inner.open(path, options);
    const isLog = path.startsWith("groups/");
    const sync = async (): Promise<void> => {
      if (!isLog) {
        await file.sync();
        return;
      }
      await new Promise<void>((resolve) => this.#gate.pass(resolve));
      if (this.isBroken) throw new StorageError("io", path, "the disk is broken");
      await file.sync();
    };
    return {
      path: file.path,
      get size(): number {
        return file.size;
      },
      append: (chunks) => file.append(chunks),
      read: async (position, length) => file.read(position, length),
      readSync: (position, length) => file.readSync(position, length),
      truncate: (size) => file.truncate(size),
      sync,
      close: () => file.close(),
    };
  }

  exists(path: string): boolean {
    return this.#inner.exists(path);
  }

  list(directory: string): string[] {
    return this.#inner.list(directory);
  }

  makeDirectory(path: string): void {
    this.#inner.makeDirectory(path);
  }

  rename(from: string, to: string): void {
    this.#inner.rename(from, to);
  }

  remove(path: string): void {
    this.#inner.remove(path);
  }

  removeTree(path: string): void {
    this.#inner.removeTree(path);
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.#inner.syncDirectory(directory);
  }

  freeBytes(): number {
    return this.#inner.freeBytes();
  }
}

/** Holds what arrives on the bulk lane (entries). Heartbeats, votes and acks pass, so nobody elects anybody. */
export class GatedConnector implements Connector {
  readonly #inner: Connector;
  readonly #gate = new Gate();

  constructor(inner: Connector) {
    this.#inner = inner;
  }

  holdEntries(): void {
    this.#gate.hold();
  }

  releaseEntries(): void {
    this.#gate.open();
  }

  connect(endpoint: string, lane: string): Connection {
    const connection = this.#inner.connect(endpoint, lane);
    if (lane !== "peer-bulk") return connection;
    return {
      endpoint,
      unary: async (method, request, options) => connection.unary(method, request, options),
      bidi: (method) => connection.bidi(method),
      serverStream: <Req, Res>(method: Method<Req, Res, "server-stream">, request: Req) =>
        gated(connection.serverStream(method, request), this.#gate),
      close: () => connection.close(),
    };
  }
}

function gated<Out, In>(stream: MessageStream<Out, In>, gate: Gate): MessageStream<Out, In> {
  let onMessage: (message: In) => void = () => undefined;
  stream.onMessage = (message) => gate.pass(() => onMessage(message));
  return {
    send: (message) => stream.send(message),
    end: (error) => stream.end(error),
    cancel: () => stream.cancel(),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    get onMessage() {
      return onMessage;
    },
    set onMessage(handler) {
      onMessage = handler;
    },
    get onDrain() {
      return stream.onDrain;
    },
    set onDrain(handler) {
      stream.onDrain = handler;
    },
    get onEnd() {
      return stream.onEnd;
    },
    set onEnd(handler) {
      stream.onEnd = handler;
    },
  };
}
