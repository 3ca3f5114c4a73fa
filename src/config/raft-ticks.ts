// Times of consensus in ticks, which is what the core counts: rounded up, so that nothing happens earlier than was asked for. Used
// by the broker, and by the check of the configuration, which must compare what will be counted.

export interface RaftTimes {
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  readonly tickMs: number;
}

export interface RaftTicks {
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
}

export function raftTicks({ electionTimeoutMs, heartbeatMs, tickMs }: RaftTimes): RaftTicks {
  return {
    electionTicks: Math.ceil(electionTimeoutMs / tickMs),
    heartbeatTicks: Math.ceil(heartbeatMs / tickMs),
  };
}
