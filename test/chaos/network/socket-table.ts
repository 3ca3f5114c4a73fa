// Reads what `ss -Htni` prints: two lines per connection, addresses first and counters below. Pure.

export interface PortPair {
  readonly local: number;
  readonly remote: number;
}

/** The connection that has sent most; undefined when there is none. */
export function busiestConnection(table: string): PortPair | undefined {
  let best: PortPair | undefined;
  let most = -1;
  for (const { ports, sentBytes } of connectionsIn(table)) {
    if (sentBytes <= most) continue;
    best = ports;
    most = sentBytes;
  }
  return best;
}

function* connectionsIn(
  table: string,
): Generator<{ readonly ports: PortPair; readonly sentBytes: number }> {
  let ports: PortPair | undefined;
  for (const line of table.split("\n")) {
    const found = /^\S.*:(\d+)\s+\S+:(\d+)\s*$/.exec(line);
    if (found !== null) ports = { local: Number(found[1]), remote: Number(found[2]) };
    else if (ports !== undefined && line.trim() !== "") {
      yield { ports, sentBytes: Number(/\bbytes_sent:(\d+)/.exec(line)?.[1] ?? 0) };
      ports = undefined;
    }
  }
}
