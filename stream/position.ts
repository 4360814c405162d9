// A record's place in its shard. Opaque to callers, strictly increasing, compared as bigint only.
import { assert } from './errors.ts';

/** `(epoch << 80) | (commit << 16) | index`. */
export type Position = bigint & { readonly __brand: 'Position' };

/** Index meaning "after every record of this commit, before the next commit". */
export const AFTER_BLOCK_INDEX = 0xffff;
/** Position of the oldest record whatever it is. */
export const START_POSITION = 0n as Position;

const COMMIT_BITS = 64n;
const INDEX_BITS = 16n;
const COMMIT_MASK = (1n << COMMIT_BITS) - 1n;
const EPOCH_MAX = (1n << 68n) - 1n;

export interface PositionParts {
  /** Grows whenever the shard is restored, salvaged or moved to another engine. */
  readonly epoch: bigint;
  /** Number of the block in its shard. */
  readonly commit: bigint;
  /** Place of the record in its block, 0..65,534, or AFTER_BLOCK_INDEX. */
  readonly index: number;
}

export function toPosition(epoch: bigint, commit: bigint, index: number): Position {
  assert(epoch >= 0n && epoch <= EPOCH_MAX, `epoch ${epoch} is out of range`);
  assert(commit >= 0n && commit <= COMMIT_MASK, `commit ${commit} is out of range`);
  assert(index >= 0 && index <= AFTER_BLOCK_INDEX, `index ${index} is out of range`);
  return ((epoch << (COMMIT_BITS + INDEX_BITS)) | (commit << INDEX_BITS) | BigInt(index)) as Position;
}

export function positionParts(position: Position): PositionParts {
  return {
    epoch: position >> (COMMIT_BITS + INDEX_BITS),
    commit: (position >> INDEX_BITS) & COMMIT_MASK,
    index: Number(position & 0xffffn),
  };
}

/** The position right behind `position`: AFTER_SEQUENCE_NUMBER starts there. */
export function nextPosition(position: Position): Position {
  return (position + 1n) as Position;
}

/** "Everything of this block", the value of ending and continuation sequence numbers. */
export function afterBlock(position: Position): Position {
  return (position | 0xffffn) as Position;
}
