// The one place that reaches into grpc-js's server. Its HTTP/2 receive windows are Node's default of 64 KiB and there is
// no option for them, which would hold a producer to 64 KiB per turn of our event loop. So: the settings that new
// sessions announce are changed before the listener is made, and each session's connection window is opened when it
// begins. The same hook shows every connection and stream to the admission before grpc-js begins to work for it. Remove it when grpc-js gets an option. test/rpc/server-window.test.ts measures the effect.
import type {
  Http2Server,
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import type { Server } from "@grpc/grpc-js";
import type { Clock } from "../base/clock.ts";
import { AcceptQueue } from "./accept-queue.ts";
import { StreamQueue } from "./stream-queue.ts";

/** The private parts that we rely on, in grpc-js 1.14. */
interface ServerInternals {
  commonServerOptions?: { settings?: Record<string, unknown> };
  createHttp2Server?: (...args: unknown[]) => Http2Server;
}

export interface WindowHook {
  /** @throws Error when grpc-js made its listener without our hook: the update changed its inside */
  assertInstalled(): void;
}

export interface ListenerEvents {
  /** A new connection. */
  onSession(session: ServerHttp2Session): void;
  /** A new stream, before grpc-js hears of it; false: it never does. */
  onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): boolean;
}

/**
 * @param windowBytes receive window per stream; that of a connection is twice as large
 * @param socketsMax connections that are accepted at all; a few per turn of the event loop begin, and so do calls
 * @throws Error when grpc-js no longer has the parts this needs
 */
export function openServerWindows(
  server: Server,
  options: { readonly windowBytes: number; readonly socketsMax: number; readonly clock: Clock },
  events: ListenerEvents,
): WindowHook {
  const { clock, socketsMax, windowBytes } = options;
  const internals = server as unknown as ServerInternals;
  const { commonServerOptions: common, createHttp2Server: create } = internals;
  if (common === undefined || typeof create !== "function") throw changedError();
  common.settings = { ...common.settings, initialWindowSize: windowBytes };
  let isInstalled = false;
  internals.createHttp2Server = (...args) => {
    const listener = create.apply(server, args);
    listener.on("session", (session) => {
      session.setLocalWindowSize(windowBytes * 2);
      events.onSession(session);
    });
    listener.maxConnections = socketsMax;
    const emit = listener.emit.bind(listener);
    const sockets = new AcceptQueue(clock, (socket) => emit("connection", socket));
    const streams = new StreamQueue(clock);
    listener.emit = (event: string, ...parts: unknown[]): boolean => {
      if (event === "connection") {
        sockets.add(parts[0] as Socket);
        return true;
      }
      if (event !== "stream") return emit(event, ...parts);
      const [stream, headers] = parts as [ServerHttp2Stream, IncomingHttpHeaders];
      if (events.onStream(stream, headers)) streams.add(stream, () => emit(event, ...parts));
      return true;
    };
    isInstalled = true;
    return listener;
  };
  return {
    assertInstalled() {
      if (!isInstalled) throw changedError();
    },
  };
}

/** Breaks off one call without waiting for its unsent messages. False when grpc-js hides the stream. */
export function resetStream(call: unknown): boolean {
  const { call: inner } = call as { call?: { stream?: { close?: (code: number) => void } } };
  if (typeof inner?.stream?.close !== "function") return false;
  inner.stream.close(HTTP2_CANCEL);
  return true;
}

/** RFC 9113 §7 CANCEL. */
const HTTP2_CANCEL = 8;

function changedError(): Error {
  return new Error(
    "this version of @grpc/grpc-js hides its HTTP/2 settings: see rpc/server-window",
  );
}
