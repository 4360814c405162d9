// What a request wants to do to tags, for conditions on aws:RequestTag and aws:TagKeys.
import type { RequestedTags } from '../access/request-context.ts';
import type { ValidatedInput } from '../wire/shape.ts';

/** Undefined: nothing. `Tags` is a map of this service, `TagKeys` a list of names. */
export function requestedTags(input: ValidatedInput): RequestedTags | undefined {
  const tags = input['Tags'] as Readonly<Record<string, string>> | undefined;
  const keys = input['TagKeys'] as readonly string[] | undefined;
  if (tags === undefined && keys === undefined) return undefined;
  return { tags: tags ?? {}, keys: keys ?? Object.keys(tags ?? {}) };
}
