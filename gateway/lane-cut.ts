// Where the head of a lane is cut: found by halving over ordinals, so that a block is read for each step and not for
// every block of the head.
import type { ShardLog, StoredBlock } from '../stream/ports.ts';
import { BLOCKS_PER_COMMIT_MAX } from '../storage/lmdb/shard-purge.ts';
import { positionParts } from '../stream/position.ts';
import type { LocalLane } from './local-lane.ts';

/** As many as the engine deletes in one commit: what is dropped is free when that is durable. */
const BLOCKS_MAX = BigInt(BLOCKS_PER_COMMIT_MAX);

/** The last ordinal of a block, which ends what goes. */
export interface LaneCut {
  readonly lastOrdinal: bigint;
  readonly bytes: number;
}

/** The oldest block that is kept; null when nothing is. */
export async function headOf(lane: LocalLane, log: ShardLog): Promise<StoredBlock | null> {
  return blockAt(lane, log, lane.firstKept);
}

/**
 * As many whole blocks as fit `bytesMax` and one commit, but at least one, none of them with an ordinal behind `lastMax`; null when not
 * even the first block is wholly before it.
 */
export async function cutByBytes(
  lane: LocalLane,
  log: ShardLog,
  bytesMax: number,
  lastMax: bigint,
): Promise<LaneCut | null> {
  const head = await headOf(lane, log);
  if (head === null || endOf(head) > lastMax) return null;
  const startBytes = head.cumulativeBytes - head.storedBytes;
  const firstCommit = positionParts(head.first).commit;
  let best = { lastOrdinal: endOf(head), bytes: head.storedBytes };
  let low = best.lastOrdinal + 1n;
  let high = lastMax;
  while (low <= high) {
    const middle = (low + high) / 2n;
    const block = await blockAt(lane, log, middle);
    if (block === null) break;
    const bytes = block.cumulativeBytes - startBytes;
    const lastOrdinal = endOf(block);
    const blocks = positionParts(block.first).commit - firstCommit + 1n;
    if (bytes <= bytesMax && blocks <= BLOCKS_MAX && lastOrdinal <= lastMax) {
      best = { lastOrdinal, bytes };
      low = lastOrdinal + 1n;
    } else {
      high = before(block, middle);
    }
  }
  return best;
}

/** First ordinal of the newest blocks that have at most `bytesMax` together; the newest block counts whatever it has. */
export async function tailByBytes(lane: LocalLane, log: ShardLog, bytesMax: number): Promise<bigint> {
  const newest = await blockAt(lane, log, lane.history.last);
  if (newest === null) return lane.history.last + 1n;
  const fromBytes = newest.cumulativeBytes - bytesMax;
  let best = startOf(newest);
  let low = lane.firstKept;
  let high = best - 1n;
  while (low <= high) {
    const middle = (low + high) / 2n;
    const block = await blockAt(lane, log, middle);
    if (block === null) break;
    if (block.cumulativeBytes - block.storedBytes >= fromBytes) {
      best = startOf(block);
      high = before(block, middle);
    } else {
      low = endOf(block) + 1n;
    }
  }
  return best;
}

/** Last ordinal of the blocks that arrived before `ms`; `firstKept - 1` when none did. */
export async function lastBefore(lane: LocalLane, log: ShardLog, ms: number): Promise<bigint> {
  const position = await log.seekTime(lane.ref, ms);
  const { blocks } = await log.readBlocks(lane.ref, position, { blocks: 1, bytes: 1 });
  const block = blocks[0];
  return block === undefined ? lane.history.last : startOf(block) - 1n;
}

async function blockAt(lane: LocalLane, log: ShardLog, ordinal: bigint): Promise<StoredBlock | null> {
  const from = await log.seekOrdinal(lane.ref, ordinal);
  const { blocks } = await log.readBlocks(lane.ref, from, { blocks: 1, bytes: 1 });
  return blocks[0] ?? null;
}

/** Ordinals of a log count its records. */
function endOf(block: StoredBlock): bigint {
  return BigInt(block.cumulativeRecords);
}

function startOf(block: StoredBlock): bigint {
  return endOf(block) - BigInt(block.recordCount) + 1n;
}

/** Where halving goes on below: of an ordinal that was lost the block is the one behind it. */
function before(block: StoredBlock, middle: bigint): bigint {
  const start = startOf(block);
  return (start < middle ? start : middle) - 1n;
}
