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

/** Digits behind which the numbers of one block differ: 65,535 steps of 2^36 and what is below stay exact. */
const LOW_DIGITS = 15;
const LOW = 10n ** BigInt(LOW_DIGITS);
const LOW_NUMBER = Number(LOW);
const STEP = Number(1n << POSITION_SHIFT);

/**
 * The numbers of a block's records by their index, several times cheaper than one by one: only the low digits change.
 * `first` is the position of its record 0.
 */
export function sequenceNumbersOf(first: Position, shardIndex: number): (index: number) => string {
  const base = TOP + (first << POSITION_SHIFT) + (BigInt(shardIndex) << SHARD_SHIFT) + VERSION;
  const high = base / LOW;
  const low = Number(base % LOW);
  const highTexts = new Map<number, string>();
  return (index) => {
    const sum = low + index * STEP;
    const carry = Math.floor(sum / LOW_NUMBER);
    let text = highTexts.get(carry);
    if (text === undefined) {
      text = (high + BigInt(carry)).toString();
      highTexts.set(carry, text);
    }
    return text + String(sum - carry * LOW_NUMBER).padStart(LOW_DIGITS, '0');
  };
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
