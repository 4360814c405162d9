// The JSON of a policy document, member by member, with the path of what is wrong.
import { PolicyError } from './policy-error.ts';

/** Throws PolicyError unless it is an object. */
export function membersOf(value: unknown, path: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new PolicyError(path, 'must be an object');
}

/** One text or a list of them; numbers and booleans count as what they print. Throws PolicyError. */
export function textsOf(value: unknown, path: string): string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0) throw new PolicyError(path, 'must not be an empty list');
  return list.map((one) => {
    if (typeof one === 'string') return one;
    if (typeof one === 'number' || typeof one === 'boolean') return String(one);
    throw new PolicyError(path, 'must be a text or a list of texts');
  });
}

/** Exactly one of `name` and `Not<name>`. Throws PolicyError. */
export function oneOf(
  members: Readonly<Record<string, unknown>>,
  name: string,
  path: string,
): { readonly value: unknown; readonly isNegated: boolean; readonly path: string } {
  const negated = `Not${name}`;
  const has = Object.hasOwn(members, name);
  if (has === Object.hasOwn(members, negated))
    throw new PolicyError(path, `must have either ${name} or ${negated}`);
  const found = has ? name : negated;
  return { value: members[found], isNegated: !has, path: `${path}.${found}` };
}

/** Throws PolicyError at the first member that is not known. */
export function onlyMembers(
  members: Readonly<Record<string, unknown>>,
  known: readonly string[],
  path: string,
): void {
  const strange = Object.keys(members).find((name) => !known.includes(name));
  if (strange === undefined) return;
  throw new PolicyError(path, `${strange.slice(0, 100)} is none of ${known.join(', ')}`);
}
