// grpc-js streams are object streams that read 16 messages ahead, however large: a paused reader would still take up to
// 256 MiB from the network. Node has no public way to change this after construction, so the mark is set on the stream's
// state. test/rpc/server-window.test.ts fails when an update of Node or grpc-js breaks it.
import type { Readable } from "node:stream";

/** Makes a paused stream hold one message at most; everything else stays with the sender or in the HTTP/2 window. */
export function readOneAhead(stream: Readable): void {
  const { _readableState: state } = stream as unknown as {
    _readableState?: { highWaterMark?: number };
  };
  if (state !== undefined) state.highWaterMark = 1;
}
