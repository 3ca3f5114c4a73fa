// Addresses for three brokers: the usual ones when they are free, others when not.
import { createServer } from "node:net";

const FIRST_PORT = 7501;

/** `count` ports of 127.0.0.1 that nobody listens on, the preferred ones if possible. */
export async function choosePorts(count: number): Promise<readonly number[]> {
  const preferred = Array.from({ length: count }, (_, position) => FIRST_PORT + position);
  const free = await Promise.all(preferred.map(isFree));
  if (free.every(Boolean)) return preferred;
  // All are held open together, so that the system cannot give one out twice.
  const servers = await Promise.all(preferred.map(() => listen(0)));
  const ports = servers.map((server) => server.port);
  await Promise.all(servers.map((server) => server.close()));
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  try {
    await (await listen(port)).close();
    return true;
  } catch {
    return false;
  }
}

function listen(port: number): Promise<{ readonly port: number; close(): Promise<void> }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      const bound = typeof address === "object" && address !== null ? address.port : port;
      const close = (): Promise<void> => new Promise((done) => server.close(() => done()));
      resolve({ port: bound, close });
    });
  });
}
