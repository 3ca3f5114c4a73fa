// Notices when this process, and so probably the machine, stood still: what was measured then says nothing about brokers.

const EVERY_MS = 250;
const LATE_MS_MIN = 1000;

/** Tells each pause of more than a second until the process ends. */
export function watchStandstill(tell: (ms: number) => void): void {
  let lastMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const lateMs = nowMs - lastMs - EVERY_MS;
    if (lateMs >= LATE_MS_MIN) tell(Math.round(lateMs));
    lastMs = nowMs;
  }, EVERY_MS);
  timer.unref();
}
