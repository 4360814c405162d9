// Goal: the named maxima fit each other, so that nothing accepted at one place is refused at the next. Method: each
// relation that some code relies on.
import { expect, it } from 'vitest';
import { BLOCK_HEADER_BYTES } from '../../stream/block-header.ts';
import { recordBytesInBlock } from '../../stream/block.ts';
import * as limits from '../../stream/limits.ts';
import { AFTER_BLOCK_INDEX } from '../../stream/position.ts';
import { KEY_BYTES_MAX } from '../../storage/lmdb/batch.ts';
import { SEAL_BYTES } from '../../storage/seal/sealed-block.ts';
import * as room from '../../storage/lmdb/disk-room.ts';

it('leaves the index "after the block" to no record', () => {
  expect(limits.BLOCK_RECORDS_MAX).toBe(AFTER_BLOCK_INDEX);
});

it('lets the largest record be stored in a block of its own, sealed too', () => {
  const largest = {
    partitionKey: 'k'.repeat(limits.PARTITION_KEY_CHARACTERS_MAX),
    data: { length: limits.RECORD_BYTES_MAX },
  };
  const blockBytes =
    BLOCK_HEADER_BYTES + recordBytesInBlock(largest as unknown as { partitionKey: string; data: Uint8Array });
  expect(blockBytes + SEAL_BYTES).toBeLessThanOrEqual(limits.STORED_BLOCK_BYTES_MAX);
});

it('orders the sizes of blocks', () => {
  expect(limits.BLOCK_BYTES_TARGET).toBeLessThanOrEqual(limits.BLOCK_BYTES_MAX);
  expect(limits.BLOCK_BYTES_MAX).toBeLessThanOrEqual(limits.RECORD_BYTES_MAX);
});

it('lets any record wait for its commit, and any record be read', () => {
  expect(limits.PENDING_BYTES_MAX).toBeGreaterThanOrEqual(limits.STORED_BLOCK_BYTES_MAX);
  expect(limits.READ_BYTES_MAX).toBeGreaterThanOrEqual(limits.RECORD_BYTES_MAX);
  expect(limits.READ_RECORDS_MAX).toBeLessThanOrEqual(limits.BLOCK_RECORDS_MAX);
});

it('keeps the keys that the store is given within those the engine takes', () => {
  // One byte more than a key that is kept as it is: see storedKey.
  expect(limits.META_KEY_BYTES_MAX + 1).toBeLessThanOrEqual(KEY_BYTES_MAX);
});

it('remembers fewer runs at the server than at the gateway, in a tag that fits', () => {
  expect(limits.LANE_RUNS_MAX).toBeLessThanOrEqual(limits.GATEWAY_LANE_RUNS_MAX);
  // A run is 8 bytes of id and 8 of ordinal.
  expect(limits.LANE_RUNS_MAX * 16).toBeLessThanOrEqual(limits.LANE_TAG_BYTES_MAX);
});

it('has positive whole numbers only', () => {
  for (const [name, value] of Object.entries(limits))
    expect(Number.isSafeInteger(value) && value > 0, name).toBe(true);
});

it('holds back from those that add what those that delete need, and from all what opening needs', () => {
  expect(room.ADDING_HEADROOM_BYTES).toBeGreaterThan(room.REUSING_HEADROOM_BYTES);
  expect(room.FREEING_HEADROOM_BYTES).toBeGreaterThan(room.OPENING_HEADROOM_BYTES);
  // When small commits have taken all they may, a block of many records still has room on the disk.
  const largest = room.FREEING_HEADROOM_BYTES + limits.BLOCK_BYTES_MAX;
  expect(room.REUSING_HEADROOM_BYTES).toBeGreaterThan(largest);
});
