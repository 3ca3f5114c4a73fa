// TCP ports for brokers of tests. They come from below the range that systems give to outgoing connections (32768 on Linux,
// 49152 on macOS), so that a broker that was killed finds its port free again. Each process takes whole blocks of ports
// and guards them until it ends, so that tests that run at the same time do not meet, even while their brokers are down.
import { createServer, type Server } from "node:net";

const FIRST = 20_000;
const END = 32_000;
/** The first port of a block is its guard: who listens on it has the others. */
const BLOCK = 100;
const BLOCKS = (END - FIRST) / BLOCK;
/** Processes whose ids are near each other begin far apart. */
const STRIDE = 37;

/** Ports of this process that were not given out yet. */
let ports: Iterator<number> = [].values();
let nextBlock = (process.pid * STRIDE) % BLOCKS;
/** Of the blocks of this process, the one used longest ago first. They listen as long as it runs. */
const guards: { readonly first: number; readonly server: Server }[] = [];

/** Distinct ports on loopback that nobody listens on; the same process gets none twice while there are blocks left. */
export async function freePorts(count: number): Promise<number[]> {
  const found: number[] = [];
  for (let blocks = 0; found.length < count; ) {
    const next = ports.next();
    if (next.done !== true) {
      if (await isFree(next.value)) found.push(next.value);
      continue;
    }
    blocks += 1;
    if (blocks > BLOCKS) throw new Error(`${count} free ports were not found`);
    ports = await takeBlock();
  }
  return found;
}

async function takeBlock(): Promise<Iterator<number>> {
  for (let tried = 0; tried < BLOCKS; tried += 1) {
    const first = FIRST + nextBlock * BLOCK;
    nextBlock = (nextBlock + 1) % BLOCKS;
    const server = await listen(first);
    if (server !== undefined) return use({ first, server: server.unref() });
  }
  const oldest = guards.shift();
  if (oldest === undefined) throw new Error("all ports for tests are taken");
  return use(oldest);
}

function use(block: (typeof guards)[number]): Iterator<number> {
  guards.push(block);
  return Array.from({ length: BLOCK - 1 }, (_, place) => block.first + 1 + place).values();
}

async function isFree(port: number): Promise<boolean> {
  const server = await listen(port);
  if (server === undefined) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

/** Undefined when somebody else listens there. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
