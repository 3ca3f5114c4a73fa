// Notices when this process, and so probably the machine, stood still: what was measured then says nothing about brokers.

const EVERY_MS = 250;
const LATE_MS_MIN = 3000;

/** Tells each pause of more than three seconds until the process ends; time that this process computed is none. */
export function watchStandstill(tell: (ms: number) => void): void {
  let lastMs = performance.now();
  let lastCpu = process.cpuUsage();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const { user, system } = process.cpuUsage(lastCpu);
    const lateMs = nowMs - lastMs - EVERY_MS - (2 * (user + system)) / 1000;
    if (lateMs >= LATE_MS_MIN) tell(Math.round(lateMs));
    lastMs = nowMs;
    lastCpu = process.cpuUsage();
  }, EVERY_MS);
  timer.unref();
}
