// Pages of lists that are in order of their names: the token is the last name of the page before.
import { BrokerError } from "../model/errors.ts";
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from "../model/limits.ts";

/** @throws BrokerError INVALID_REQUEST */
export function pageSizeOf(wish: { readonly pageSize: number }): number {
  const pageSize = wish.pageSize === 0 ? PAGE_SIZE_DEFAULT : wish.pageSize;
  if (Number.isInteger(pageSize) && pageSize >= 1 && pageSize <= PAGE_SIZE_MAX) return pageSize;
  throw new BrokerError("INVALID_REQUEST", `page_size must be 1 to ${PAGE_SIZE_MAX}`, {
    field: "pageSize",
    limit: PAGE_SIZE_MAX,
  });
}

/** Names that begin so, from a sorted list. */
export function withPrefix(names: readonly string[], prefix: string): readonly string[] {
  const found: string[] = [];
  for (let place = firstAfter(names, prefix, true); ; place += 1) {
    const name = names[place];
    if (name?.startsWith(prefix) !== true) return found;
    found.push(name);
  }
}

/** Place of the first name above `bound` (or equal to it, if `isInclusive`) in a sorted list. */
export function firstAfter(names: readonly string[], bound: string, isInclusive: boolean): number {
  let from = 0;
  let to = names.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    const name = names[middle] ?? "";
    if (name < bound || (!isInclusive && name === bound)) from = middle + 1;
    else to = middle;
  }
  return from;
}
