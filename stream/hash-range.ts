// Hash keys: [0, 2^128), and the inclusive ranges of them that shards own.
import { TributaryError, assert } from './errors.ts';
import type { Digest } from './ports.ts';

export const HASH_KEY_MAX = (1n << 128n) - 1n;

export interface HashRange {
  readonly start: bigint;
  /** Inclusive. */
  readonly end: bigint;
}

/** MD5 of the partition key as an unsigned big-endian number (Kinesis API, PutRecord). */
export function hashKeyOf(partitionKey: string, digest: Digest): bigint {
  return fromHashText(hashTextOf(partitionKey, digest));
}

/** A hash key as 32 small hex digits: sorts as the number does, and costs no bigint for each record. */
export type HashText = string & { readonly __brand: 'HashText' };

export function hashTextOf(partitionKey: string, digest: Digest): HashText {
  return digest.md5Hex(partitionKey) as HashText;
}

export function toHashText(hashKey: bigint): HashText {
  return hashKey.toString(16).padStart(32, '0') as HashText;
}

export function fromHashText(text: HashText): bigint {
  return BigInt(`0x${text}`);
}

/** A decimal explicit hash key. Throws HASH_KEY_INVALID outside [0, 2^128). */
export function parseHashKey(text: string): bigint {
  const key = /^(0|[1-9]\d{0,38})$/.test(text) ? BigInt(text) : -1n;
  if (key >= 0n && key <= HASH_KEY_MAX) return key;
  throw new TributaryError(
    'HASH_KEY_INVALID',
    `a hash key is a decimal number in [0, 2^128-1], not ${text.slice(0, 64)}`,
  );
}

/** `count` ranges of equal width; the last one ends at HASH_KEY_MAX. */
export function evenRanges(count: number): HashRange[] {
  assert(Number.isInteger(count) && count >= 1, 'a stream has at least one shard');
  const width = (HASH_KEY_MAX + 1n) / BigInt(count);
  return Array.from({ length: count }, (_, index) => ({
    start: BigInt(index) * width,
    end: index === count - 1 ? HASH_KEY_MAX : BigInt(index + 1) * width - 1n,
  }));
}

export function rangeHas(range: HashRange, key: bigint): boolean {
  return key >= range.start && key <= range.end;
}
