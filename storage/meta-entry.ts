// How the map of small state is written down: key → (revision, key, value) with a checksum. Keys longer than the engine takes
// are hashed.
import { createHash } from 'node:crypto';
import { nodeDigest } from '../runtime/digest.ts';
import { TributaryError, assert } from '../stream/errors.ts';
import { META_KEY_BYTES_MAX, META_VALUE_BYTES_MAX } from '../stream/limits.ts';
import type { MetaEntry } from '../stream/ports.ts';

/** First byte of an entry with a checksum; without one it is 0. No single flipped bit makes one of the other. */
const CHECKED = 0xa5;
const REVISION_BITS = 56;
const AT = { name: 8, checksum: 10 } as const;
const HEAD_BYTES = 14;
/** As earlier programs wrote it. */
const UNCHECKED_HEAD_BYTES = 10;
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
  head.writeBigUInt64BE((BigInt(CHECKED) << BigInt(REVISION_BITS)) | revision);
  head.writeUInt16BE(name.length, AT.name);
  const stored = Buffer.concat([head, name, value]);
  stored.writeUInt32BE(checksumOf(stored), AT.checksum);
  return stored;
}

/** Throws STORAGE_FAILED when it is not as it was written. */
export function decodeEntry(stored: Uint8Array): MetaEntry {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const isChecked = bytes[0] === CHECKED;
  const start = isChecked ? HEAD_BYTES : UNCHECKED_HEAD_BYTES;
  if (bytes.length < start || (!isChecked && bytes[0] !== 0)) throw damaged('it is no entry');
  const end = start + bytes.readUInt16BE(AT.name);
  if (end > bytes.length) throw damaged('its end is missing');
  if (isChecked && bytes.readUInt32BE(AT.checksum) !== checksumOf(bytes))
    throw damaged('its checksum is another one');
  return {
    key: bytes.toString('utf8', start, end),
    value: bytes.subarray(end),
    revision: BigInt.asUintN(REVISION_BITS, bytes.readBigUInt64BE()),
  };
}

/** The entry of a row, which must be under its own key. Throws STORAGE_FAILED. */
export function entryOfRow(key: Uint8Array, stored: Uint8Array): MetaEntry {
  const entry = decodeEntry(stored);
  if (!Buffer.from(storedKey(entry.key)).equals(key)) throw damaged('it is under the key of another');
  return entry;
}

/** Of all but itself. */
function checksumOf(stored: Buffer): number {
  return nodeDigest.crc32(stored.subarray(HEAD_BYTES), nodeDigest.crc32(stored.subarray(0, AT.checksum)));
}

function damaged(what: string): TributaryError {
  const text = `an entry of the store's map is damaged: ${what}; start again to repair the store`;
  return new TributaryError('STORAGE_FAILED', text, { details: { damaged: what } });
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
