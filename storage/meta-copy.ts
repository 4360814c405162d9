// Entries of the map that are kept a second time, among the rows of the system and in the same commit: without the page
// they are on, a gateway would not know who it is, and a server not what its streams are.
import { storedKey } from './meta-entry.ts';

const PREFIX = Buffer.from('copy/');

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
