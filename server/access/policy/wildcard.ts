// Patterns of policies: `*` stands for any run of characters, `?` for one, everything else for itself
// (IAM User Guide, IAM JSON policy elements: Resource).

/** UTF-16 code units, and the two below. */
export type Glob = readonly number[];

const ANY_RUN = -1;
const ANY_ONE = -2;

/**
 * At most glob × text steps whatever the pattern: a `*` takes as little as it can, and only the last one ever takes more.
 */
export function matchesGlob(glob: Glob, text: string): boolean {
  let at = 0;
  let read = 0;
  let star = -1;
  let retry = 0;
  while (read < text.length) {
    const wanted = glob[at];
    if (wanted === ANY_RUN) {
      star = at;
      at += 1;
      retry = read;
    } else if (wanted === ANY_ONE || wanted === text.charCodeAt(read)) {
      at += 1;
      read += 1;
    } else if (star >= 0) {
      retry += 1;
      read = retry;
      at = star + 1;
    } else return false;
  }
  while (glob[at] === ANY_RUN) at += 1;
  return at === glob.length;
}

export function globOf(text: string): Glob {
  const glob: number[] = [];
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (char === '*') {
      if (glob.at(-1) !== ANY_RUN) glob.push(ANY_RUN);
    } else glob.push(char === '?' ? ANY_ONE : text.charCodeAt(at));
  }
  return glob;
}

export function literalGlob(text: string): Glob {
  return Array.from({ length: text.length }, (_, at) => text.charCodeAt(at));
}
