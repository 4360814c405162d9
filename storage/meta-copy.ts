// Entries of the map that are kept a second time, among the rows of the system and in the same commit: without the page
// they are on, a gateway would not know who it is, and a server not what its streams are. Which entries these are is
// written down in the store: whoever opens it keeps their copies up, whether they know of them or not.
import { storedKey } from './meta-entry.ts';

const PREFIX = Buffer.from('copy/');
export const COPIED_KEY = Buffer.from('copied');

/** Whether the entries under `key` are copied: it starts with one of `prefixes`. */
export function isCopied(key: string, prefixes: readonly string[]): boolean {
  return prefixes.some((prefix) => key.startsWith(prefix));
}

export function copyKey(key: string): Buffer {
  return Buffer.concat([PREFIX, storedKey(key)]);
}

export function isCopyRow(key: Uint8Array): boolean {
  return Buffer.from(key).subarray(0, PREFIX.length).equals(PREFIX);
}

/** The key that the entry has in the map. */
export function copiedKey(key: Buffer): Buffer {
  return key.subarray(PREFIX.length);
}

/** Where the copies start. */
export function firstCopyKey(): Buffer {
  return PREFIX;
}

export function encodeCopied(prefixes: readonly string[]): Buffer {
  return Buffer.from(JSON.stringify(prefixes));
}

/** Throws when it is no list of texts. */
export function decodeCopied(value: Uint8Array): readonly string[] {
  const prefixes: unknown = JSON.parse(Buffer.from(value).toString());
  if (Array.isArray(prefixes) && prefixes.every((prefix) => typeof prefix === 'string')) return prefixes;
  throw new TypeError('the prefixes of what is kept twice are no list of texts');
}
