// The data: 20,000 flights of January 2001 and later, as the npm package vega-datasets ships them, keyed by the airport
// they left from.
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface FlightEvent {
  /** Position in the table; sends of one key must be read back with growing ids. */
  readonly id: number;
  readonly key: string;
  readonly value: string;
}

const EVENTS_MIN = 20_000;

export function readFlights(): readonly FlightEvent[] {
  const folder = join(import.meta.dirname, "..", "..", "node_modules", "vega-datasets", "data");
  const file = join(folder, "flights-20k.json");
  const rows = JSON.parse(readFileSync(file, "utf8")) as readonly { readonly origin: string }[];
  if (rows.length < EVENTS_MIN) throw new Error(`${file} has only ${rows.length} rows`);
  return rows.map((row, id) => ({ id, key: row.origin, value: JSON.stringify({ id, ...row }) }));
}
