// Looking an offset up among many ranges. Pure.
import type { Offset } from "../model/positions.ts";
import type { OffsetRange } from "./delivery-commands.ts";

/** @param ranges ascending and apart; of a batch there may be as many as records */
export function isWithin(ranges: readonly OffsetRange[], offset: Offset): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ranges[middle]?.[1] ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  const range = ranges[low];
  return range !== undefined && range[0] <= offset;
}
