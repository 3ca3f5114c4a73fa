// What a consumer is answered that comes back with messages of a leader that is gone. Used by delivery runners.
import type { Offset } from "../model/positions.ts";
import type { OffsetRange } from "./delivery-commands.ts";
import { mergedRanges } from "./delivery-encoder.ts";
import type { Resumed } from "./dispatch-types.ts";
import type { SettledTable } from "./settled-table.ts";

/** Names no delivery: what is settled needs none to be settled again. */
const NO_DELIVERY: number = Number.MAX_SAFE_INTEGER;

/**
 * What is settled is named together with what was adopted: the consumer may have said so without hearing that it is in force,
 * says it again, and is told. Otherwise it would have to take for lost what nobody will ever do again.
 *
 * @param held ranges of one delivery, as the consumer named them
 * @param endOffset of what is committed: nobody holds what lies beyond
 * @returns undefined: there is nothing to go on with
 */
export function resumptionOf(
  held: readonly OffsetRange[],
  { number, ranges }: Resumed,
  settled: SettledTable,
  endOffset: Offset,
): Resumed | undefined {
  const done: OffsetRange[] = [];
  for (const [from, last] of held) {
    const to = Math.min(last, endOffset);
    for (let offset = settled.nextSettled(from, to); offset < to; ) {
      const end = Math.min(to, settled.nextUnsettled(offset));
      done.push([offset, end]);
      offset = settled.nextSettled(end, to);
    }
  }
  const named = mergedRanges([...ranges, ...done]);
  if (named.length === 0) return undefined;
  return { number: number === 0 ? NO_DELIVERY : number, ranges: named };
}
