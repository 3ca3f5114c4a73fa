// TCP ports for brokers of tests. They come from below the range that systems give to outgoing connections (32768 on Linux,
// 49152 on macOS), so that a broker that was killed finds its port free again, and each process begins at another place,
// so that tests of several processes do not meet.
import { createServer } from "node:net";

const FIRST = 20_000;
const END = 32_000;
/** Processes whose ids are near each other are far apart. */
const STRIDE = 370;

let next = FIRST + ((process.pid * STRIDE) % (END - FIRST));

/** Distinct ports on loopback that nobody listens on; the same process gets none twice before all were tried. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let tried = 0; ports.length < count; tried += 1) {
    if (tried > END - FIRST) throw new Error(`${count} free ports were not found`);
    const port = next;
    next = next + 1 === END ? FIRST : next + 1;
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
