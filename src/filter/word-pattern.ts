// Patterns of words as in AMQP's topic exchange: "*" stands for exactly one word, "#" for none or more. Used for routing
// keys (words separated by ".") and for topic names (by "/" or ".").

/** Whether words match the pattern; time is at most words × pattern, whatever the pattern. */
export function matchesWords(pattern: readonly string[], words: readonly string[]): boolean {
  if (!pattern.includes("#") && pattern.length !== words.length) return false;
  // reachable[w]: the part of the pattern so far can match exactly the first w words.
  let reachable = new Array<boolean>(words.length + 1).fill(false);
  reachable[0] = true;
  for (const part of pattern) {
    const next = new Array<boolean>(words.length + 1).fill(false);
    for (let at = 0; at <= words.length; at += 1) {
      if (part === "#") next[at] = reachable[at] === true || (at > 0 && next[at - 1] === true);
      else if (at > 0 && reachable[at - 1] === true) {
        next[at] = part === "*" || part === words[at - 1];
      }
    }
    reachable = next;
  }
  return reachable[words.length] === true;
}

/** What is wrong with a pattern, in words; undefined when it may be used. */
export function wordPatternProblem(pattern: readonly string[]): string | undefined {
  for (const part of pattern) {
    if (part.length > 1 && /[*#]/.test(part)) return '"*" and "#" stand for whole words';
  }
  return undefined;
}
