// Texts of policies with variables in them, like `stream/${aws:username}-*` (IAM User Guide, Policy variables and tags).
import { PolicyError } from './policy-error.ts';
import { globOf, literalGlob, matchesGlob } from './wildcard.ts';
import type { Glob } from './wildcard.ts';

/** The values of a condition key, by its name in lower case; undefined: the request has none. */
export type ContextLookup = (key: string) => readonly string[] | undefined;

interface Variable {
  readonly key: string;
  /** `${aws:PrincipalTag/team, 'none'}` */
  readonly fallback: string | undefined;
}

export interface Template {
  readonly parts: readonly (Glob | Variable)[];
  /** The whole of it when it has no variables. */
  readonly fixed: Glob | null;
  /** `*` alone. */
  readonly isAny: boolean;
}

export interface TemplateOptions {
  /** `*` and `?` are wildcards; otherwise they are themselves. */
  readonly wildcards: boolean;
  /** Since version 2012-10-17 of the language; before, `${` is itself. */
  readonly variables: boolean;
}

const VARIABLE = /^([a-zA-Z0-9-]+:[\w.:/=+@-]{1,256})(?:\s*,\s*'([^']*)')?$/;
const ESCAPED = new Set(['*', '?', '$']);

/** Throws PolicyError. */
export function parseTemplate(text: string, path: string, options: TemplateOptions): Template {
  const toGlob = options.wildcards ? globOf : literalGlob;
  const parts: (Glob | Variable)[] = [];
  let rest = text;
  while (options.variables && rest.includes('${')) {
    const start = rest.indexOf('${');
    const end = rest.indexOf('}', start);
    if (end < 0) throw new PolicyError(path, 'a variable that begins with ${ has no }');
    if (start > 0) parts.push(toGlob(rest.slice(0, start)));
    parts.push(variableOf(rest.slice(start + 2, end), path));
    rest = rest.slice(end + 1);
  }
  if (rest !== '') parts.push(toGlob(rest));
  const globs = parts.filter((part): part is Glob => !('key' in part));
  const fixed = globs.length === parts.length ? globs.flat() : null;
  return { parts, fixed, isAny: options.wildcards && text === '*' };
}

function variableOf(text: string, path: string): Glob | Variable {
  if (ESCAPED.has(text)) return literalGlob(text);
  const [, key, fallback] = VARIABLE.exec(text) ?? [];
  if (key !== undefined) return { key: key.toLowerCase(), fallback };
  throw new PolicyError(path, `\${${text.slice(0, 100)}} is no variable; write it like \${aws:username}`);
}

/** A variable that the request has no single value for matches nothing. */
export function matchesTemplate(template: Template, text: string, lookup: ContextLookup): boolean {
  if (template.isAny) return true;
  const glob = template.fixed ?? resolved(template, lookup);
  return glob !== null && matchesGlob(glob, text);
}

function resolved(template: Template, lookup: ContextLookup): Glob | null {
  const glob: number[] = [];
  for (const part of template.parts) {
    if (!('key' in part)) {
      glob.push(...part);
      continue;
    }
    const values = lookup(part.key);
    const value = values?.length === 1 ? values[0] : part.fallback;
    if (value === undefined) return null;
    // What a caller may choose is no pattern: its stars are stars.
    glob.push(...literalGlob(value));
  }
  return glob;
}
