// Raw HTTP/2 to a real broker's socket: a connection of its own for every input. Whatever comes, the broker lives and others
// are served; and a call whose frames are fine ends with trailers, whatever its messages are.
import { connect, type Socket } from "node:net";
import { fetchService, metadataService, produceService } from "../../../src/rpc/methods.ts";
import { FRAME } from "../../flood/raw-http2.ts";
import { message, zipped } from "../../flood/wire.ts";
import {
  callFrames,
  connectionBytes,
  type Frame,
  frameOf,
  framesOf,
  SETTINGS_FRAME,
} from "../frame-inputs.ts";
import { FrameReader, wholeCalls } from "../frame-reader.ts";
import type { Subject } from "../subject.ts";
import type { FuzzedBroker } from "./broker.ts";
import { MESSAGE_SEEDS } from "./wire.ts";

const ANSWER_MS = 15_000;
/** An input that is no call gets so long; what comes later meets a connection that is gone, which is a question too. */
const LISTEN_MS = 3;
const PUBLISH = MESSAGE_SEEDS[0] ?? Buffer.alloc(0);
const PRODUCE = MESSAGE_SEEDS[1] ?? Buffer.alloc(0);
const FETCH = MESSAGE_SEEDS[2] ?? Buffer.alloc(0);

/** Connections that are fine. */
const WHOLE: readonly (readonly Frame[])[] = [
  [SETTINGS_FRAME, ...callFrames(1, metadataService.getMetadata.path, message(Buffer.alloc(0)))],
  [SETTINGS_FRAME, ...callFrames(1, produceService.publish.path, message(PUBLISH), true)],
  [SETTINGS_FRAME, ...callFrames(1, produceService.publish.path, zipped(PUBLISH))],
  // A field that is longer than its message, in a stream: refused by the broker, not by what is below it.
  [
    SETTINGS_FRAME,
    ...callFrames(1, fetchService.fetch.path, message(Buffer.from([0x0a, 0x7f, 1]))),
  ],
  [
    SETTINGS_FRAME,
    frameOf(FRAME.PING, 0, 0, Buffer.alloc(8)),
    ...callFrames(1, produceService.produce.path, message(PRODUCE)),
    ...callFrames(3, fetchService.fetch.path, message(FETCH), true),
  ],
];

export function frameSubject({ assertUnharmed, node }: FuzzedBroker): Subject {
  const port = Number(node.client.split(":")[1]);
  for (const frames of WHOLE) {
    if (wholeCalls(connectionBytes(frames)).length === 0) throw new Error("a seed without a call");
  }
  return {
    name: "http2-frames",
    seeds: WHOLE.map(connectionBytes),
    shapes: framesOf(WHOLE),
    cost: 4,
    async run(bytes) {
      await exchange(port, bytes, wholeCalls(bytes));
      await assertUnharmed();
    },
  };
}

/**
 * Resolves when the calls were answered; without calls, a moment after the broker began to speak, or with its end.
 * @param calls streams that must be answered @throws Error when one is not, or the broker never speaks
 */
function exchange(port: number, bytes: Buffer, calls: readonly number[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const open = new Set(calls);
    const reader = new FrameReader();
    const socket = connect(port, "127.0.0.1");
    const end = (problem?: string): void => {
      clearTimeout(timer);
      close(socket);
      if (problem === undefined) resolve();
      else reject(new Error(`${problem}: ${[...open].join(", ")}; got ${reader.summary}`));
    };
    let timer = setTimeout(() => end("never answered, streams"), ANSWER_MS);
    socket.on("error", () => undefined);
    socket.on("data", (received: Buffer) => {
      for (const id of reader.endedStreams(received)) open.delete(id);
      if (calls.length > 0) {
        if (open.size === 0) end();
        else if ([...open].some((id) => reader.resets.has(id))) end("reset without trailers");
        return;
      }
      clearTimeout(timer);
      timer = setTimeout(end, LISTEN_MS);
    });
    socket.once("close", () => end(open.size > 0 ? "cut before the trailers of" : undefined));
    socket.write(bytes);
  });
}

function close(socket: Socket): void {
  socket.removeAllListeners("close");
  socket.destroy();
}
