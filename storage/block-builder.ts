// Cuts waiting records into blocks: one block for each log and commit unless a bound makes it several.
import { recordBytesInBlock } from '../stream/block.ts';
import { BLOCK_BYTES_MAX, BLOCK_RECORDS_MAX } from '../stream/limits.ts';
import type { TimedRecord } from '../stream/record.ts';

const HEADROOM_BYTES = 1024;

/** Consecutive runs of `records`, in order, each of which fits one block. */
export function cutIntoBlocks(records: readonly TimedRecord[]): TimedRecord[][] {
  const blocks: TimedRecord[][] = [];
  let block: TimedRecord[] = [];
  let bytes = HEADROOM_BYTES;
  for (const record of records) {
    const more = recordBytesInBlock(record);
    if (block.length > 0 && (bytes + more > BLOCK_BYTES_MAX || block.length === BLOCK_RECORDS_MAX)) {
      blocks.push(block);
      block = [];
      bytes = HEADROOM_BYTES;
    }
    block.push(record);
    bytes += more;
  }
  if (block.length > 0) blocks.push(block);
  return blocks;
}
