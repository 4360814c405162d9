// How the map of small state is written down: key → (revision, key, value). Keys longer than the engine takes are hashed.
import { createHash } from 'node:crypto';
import { TributaryError, assert } from '../stream/errors.ts';
import { META_KEY_BYTES_MAX, META_VALUE_BYTES_MAX } from '../stream/limits.ts';
import type { MetaEntry } from '../stream/ports.ts';

const HEAD_BYTES = 10;
const HASH_BYTES = 64;
/** Keys up to here are in their order; behind it a hashed key is not. One byte more than any key kept as it is. */
export const ORDERED_KEY_BYTES = META_KEY_BYTES_MAX - HASH_BYTES;
const NAME_BYTES_MAX = 0xffff;

export function storedKey(key: string): Uint8Array {
  const bytes = Buffer.from(key);
  assert(bytes.length >= 1 && bytes.length <= NAME_BYTES_MAX, 'a key has 1..65,535 bytes');
  if (bytes.length <= META_KEY_BYTES_MAX) return bytes;
  const hash = createHash('sha256').update(bytes).digest('hex');
  return Buffer.concat([bytes.subarray(0, ORDERED_KEY_BYTES), Buffer.from(`#${hash}`)]);
}

/** Where the keys with a prefix start. */
export function storedPrefix(prefix: string): Buffer {
  return Buffer.from(prefix).subarray(0, ORDERED_KEY_BYTES);
}

export function encodeEntry(key: string, value: Uint8Array, revision: bigint): Uint8Array {
  const name = Buffer.from(key);
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeBigUInt64BE(revision);
  head.writeUInt16BE(name.length, 8);
  return Buffer.concat([head, name, value]);
}

export function decodeEntry(stored: Uint8Array): MetaEntry {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const end = HEAD_BYTES + bytes.readUInt16BE(8);
  return {
    key: bytes.toString('utf8', HEAD_BYTES, end),
    value: bytes.subarray(end),
    revision: bytes.readBigUInt64BE(),
  };
}

export function checkValue(key: string, value: Uint8Array): void {
  if (value.length <= META_VALUE_BYTES_MAX) return;
  const text = `the value of ${key.slice(0, 64)} has ${value.length} bytes, at most ${META_VALUE_BYTES_MAX} are kept`;
  throw new TributaryError('META_VALUE_TOO_LARGE', text);
}

/** The order of `list`: that of the keys' UTF-8 bytes. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
