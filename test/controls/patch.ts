// Applies the patch of a control to source text. Pure. A text that is not there exactly once is an error: the source has
// moved on, and the control would break nothing, or something else.
import type { Replacement } from "./control.ts";

/**
 * @param read the source of a file below src
 * @returns the new text of each file that changes
 * @throws Error when a text does not occur exactly once, or when nothing would change
 */
export function applyPatch(
  patch: readonly Replacement[],
  read: (file: string) => string,
): Map<string, string> {
  const changed = new Map<string, string>();
  if (patch.length === 0) throw new Error("a patch without replacements breaks nothing");
  for (const replacement of patch) {
    const { file } = replacement;
    changed.set(file, replaceOnce(changed.get(file) ?? read(file), replacement));
  }
  return changed;
}

function replaceOnce(source: string, { file, find, replace }: Replacement): string {
  if (find === "" || find === replace) throw new Error(`${file}: the replacement changes nothing`);
  const count = source.split(find).length - 1;
  if (count !== 1) throw new Error(`${file}: found ${count} times instead of once: ${find}`);
  // A function, because a text may hold what String.replace takes for a pattern.
  return source.replace(find, () => replace);
}
