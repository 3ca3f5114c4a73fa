// SQL's LIKE without regular expressions: "%" stands for any text, "_" for one character. Never goes back further than the
// last "%", so the time is at most pattern × text.

/** One character of a pattern: itself, or a wildcard. */
type Part = string | typeof ANY | typeof ONE;

const ANY = Symbol("%");
const ONE = Symbol("_");

/**
 * @param escapeCharacter one character that takes the meaning from the wildcard (or itself) behind it
 * @returns a test, or undefined when the escape stands before another character or at the end
 */
export function compileLike(
  pattern: string,
  escapeCharacter: string | undefined,
): ((text: string) => boolean) | undefined {
  const parts = partsOf([...pattern], escapeCharacter);
  return parts === undefined ? undefined : (text) => matches(parts, [...text]);
}

function partsOf(
  characters: readonly string[],
  escapeCharacter: string | undefined,
): Part[] | undefined {
  const parts: Part[] = [];
  for (let at = 0; at < characters.length; at += 1) {
    const character = characters[at] ?? "";
    if (character === escapeCharacter) {
      at += 1;
      const next = characters[at];
      if (next !== "%" && next !== "_" && next !== escapeCharacter) return undefined;
      parts.push(next);
    } else if (character === "%") {
      // Two in a row are one.
      if (parts.at(-1) !== ANY) parts.push(ANY);
    } else parts.push(character === "_" ? ONE : character);
  }
  return parts;
}

function matches(parts: readonly Part[], text: readonly string[]): boolean {
  let part = 0;
  let at = 0;
  let lastAny = -1;
  let resumeAt = 0;
  while (at < text.length) {
    const wanted = parts[part];
    if (wanted === ANY) {
      lastAny = part;
      resumeAt = at;
      part += 1;
    } else if (wanted !== undefined && (wanted === ONE || wanted === text[at])) {
      part += 1;
      at += 1;
    } else if (lastAny >= 0) {
      // The last "%" takes one character more.
      part = lastAny + 1;
      resumeAt += 1;
      at = resumeAt;
    } else return false;
  }
  while (parts[part] === ANY) part += 1;
  return part === parts.length;
}
