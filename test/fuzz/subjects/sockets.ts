// The subjects with a real broker behind a socket; whoever wants them opens it.
import type { Subject } from "../subject.ts";
import { openFuzzedBroker } from "./broker.ts";
import { frameSubject } from "./frames.ts";
import { prefixSubject } from "./prefixes.ts";
import { socketSubject } from "./socket.ts";

export const SOCKET_SUBJECTS = ["socket", "grpc-prefix", "http2-frames"] as const;

export interface SocketSubjects {
  readonly subjects: readonly Subject[];
  readonly close: () => Promise<void>;
}

/** One broker for all of them; close() must follow. */
export async function openSocketSubjects(): Promise<SocketSubjects> {
  const broker = await openFuzzedBroker();
  const subjects = [socketSubject(broker), prefixSubject(broker), frameSubject(broker)];
  return {
    subjects,
    async close() {
      for (const subject of subjects) await subject.close?.();
      await broker.close();
    },
  };
}
