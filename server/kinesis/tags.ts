// What the model's shapes do not say of tags (Kinesis API, AddTagsToStream).
import { kinesisError } from './errors.ts';

export type Tags = Readonly<Record<string, string>>;

/** Tags of one stream or consumer. */
const TAGS_MAX = 50;
const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/** The same tags; throws InvalidArgumentException for too many and for texts that none may have. */
export function checkedTags(tags: Tags): Tags {
  const entries = Object.entries(tags);
  if (entries.length > TAGS_MAX)
    throw kinesisError('InvalidArgumentException', `A resource has at most ${TAGS_MAX} tags.`);
  for (const [key, value] of entries) {
    if (key.toLowerCase().startsWith('aws:'))
      throw kinesisError('InvalidArgumentException', 'Tag keys must not start with aws:.');
    if (!TAG_TEXT.test(key) || !TAG_TEXT.test(value))
      throw kinesisError('InvalidArgumentException', 'Tags are letters, digits, spaces and _ . : / = + - @.');
  }
  return tags;
}

/** Throws InvalidArgumentException when together they are too many. */
export function withTags(tags: Tags, added: Tags): Tags {
  return checkedTags({ ...tags, ...checkedTags(added) });
}

/** Keys that are not there are no mistake. */
export function withoutTags(tags: Tags, keys: readonly string[]): Tags {
  return Object.fromEntries(Object.entries(tags).filter(([key]) => !keys.includes(key)));
}

/** Sorted by key. */
export function tagList(tags: Tags): { readonly Key: string; readonly Value: string }[] {
  return Object.entries(tags)
    .map(([Key, Value]) => ({ Key, Value }))
    .toSorted((a, b) => (a.Key < b.Key ? -1 : 1));
}
