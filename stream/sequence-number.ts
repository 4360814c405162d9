// The SequenceNumber of the wire: a position and its shard as 56 decimal digits that sort as text.
import { TributaryError, assert } from './errors.ts';
import type { Position } from './position.ts';

/** `2·2^184 + position·2^36 + shardIndex·2^4 + 2`: 186 bits, the shape that the client library validates. */
const TOP = 2n << 184n;
const POSITION_SHIFT = 36n;
const SHARD_SHIFT = 4n;
const SHARD_MASK = (1n << 32n) - 1n;
const VERSION = 2n;
const PATTERN = /^[1-9]\d{55}$/;

export interface SequenceParts {
  readonly position: Position;
  /** Number of the shard in its stream. */
  readonly shardIndex: number;
}

export function formatSequenceNumber(position: Position, shardIndex: number): string {
  assert(position >= 0n && position < 1n << 148n, 'a position has at most 148 bits');
  return (TOP + (position << POSITION_SHIFT) + (BigInt(shardIndex) << SHARD_SHIFT) + VERSION).toString();
}

/** The numbers of one block differ in the last digits, which are counted in two groups: small integers are fast to print. */
const LOW_DIGITS = 8;
const LOW = 10 ** LOW_DIGITS;
const MIDDLE_DIGITS = 7;
const MIDDLE = 10 ** MIDDLE_DIGITS;
const STEP = Number(1n << POSITION_SHIFT);
const STEP_LOW = STEP % LOW;
const STEP_MIDDLE = Math.floor(STEP / LOW);

/**
 * The numbers of a block's records by their index, several times cheaper than one by one: only the low digits change.
 * `first` is the position of its record 0.
 */
export function sequenceNumbersOf(first: Position, shardIndex: number): (index: number) => string {
  const base = TOP + (first << POSITION_SHIFT) + (BigInt(shardIndex) << SHARD_SHIFT) + VERSION;
  const low = Number(base % BigInt(LOW));
  const middle = Number((base / BigInt(LOW)) % BigInt(MIDDLE));
  const high = base / BigInt(LOW) / BigInt(MIDDLE);
  let known = { carry: 0, text: high.toString() };
  return (index) => {
    const lowSum = low + index * STEP_LOW;
    const lowCarry = Math.floor(lowSum / LOW);
    const middleSum = middle + index * STEP_MIDDLE + lowCarry;
    const carry = Math.floor(middleSum / MIDDLE);
    if (carry !== known.carry) known = { carry, text: (high + BigInt(carry)).toString() };
    return known.text + padded(middleSum - carry * MIDDLE, MIDDLE) + padded(lowSum - lowCarry * LOW, LOW);
  };
}

/** `value` with as many digits as `limit` has zeros. */
function padded(value: number, limit: number): string {
  return String(limit + value).slice(1);
}

/** Throws SEQUENCE_NUMBER_INVALID for anything formatSequenceNumber does not produce. */
export function parseSequenceNumber(text: string): SequenceParts {
  const number = PATTERN.test(text) ? BigInt(text) : -1n;
  if (number >> 184n !== 2n || (number & 0xfn) !== VERSION) {
    throw new TributaryError('SEQUENCE_NUMBER_INVALID', 'it is not a sequence number of this service');
  }
  return {
    position: ((number - TOP) >> POSITION_SHIFT) as Position,
    shardIndex: Number((number >> SHARD_SHIFT) & SHARD_MASK),
  };
}
