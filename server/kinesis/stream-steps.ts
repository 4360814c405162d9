// What leads a stream out of a state: the work, and the row to store when it is done. Each step may be taken again, after
// a crash or on a disk that was full.
import { isTributaryError } from '../../stream/errors.ts';
import type { Digest, ShardLog } from '../../stream/ports.ts';
import { toPosition } from '../../stream/position.ts';
import type { Position } from '../../stream/position.ts';
import type { Shard } from '../../stream/shard-map.ts';
import { shardsMade, takeRound } from './resharding.ts';
import { retentionMs, shardRef } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

export interface StepParts {
  readonly log: ShardLog;
  readonly digest: Digest;
  readonly nowMs: () => number;
  /** What is removed with a stream. */
  readonly beforeGone: (row: StreamRow) => Promise<void>;
}

/** More than a shard commits in a millisecond. */
const COMMITS_PER_MS_BITS = 20n;

/** Nothing is to be done. */
export function isAtRest(row: StreamRow): boolean {
  return row.status === 'ACTIVE' && row.reshard === undefined && row.isRetentionPending === undefined;
}

/** The row behind the next step; null: the stream is gone. */
export async function takeStep(row: StreamRow, parts: StepParts): Promise<StreamRow | null> {
  if (row.status === 'CREATING') return makeShards(row, parts);
  if (row.status === 'DELETING') return dropShards(row, parts);
  if (row.reshard !== undefined) return reshard(row, parts);
  if (row.isRetentionPending !== undefined) return setRetention(row, parts);
  return { ...row, status: 'ACTIVE' };
}

async function makeShards(row: StreamRow, { log }: StepParts): Promise<StreamRow> {
  const options = { retentionMs: retentionMs(row), streamName: row.name, after: beforeStream(row) };
  await Promise.all(row.map.shards.map((shard) => log.createShard(shardRef(row, shard), options)));
  return { ...row, status: 'ACTIVE' };
}

/**
 * Behind all positions of a stream that had the name before: a checkpoint of a consumer there must not hide what is put here.
 * The commits that the older one made since its own making are fewer than those that the time between leaves room for.
 */
function beforeStream({ createdAtMs }: StreamRow): Position {
  return toPosition(0n, BigInt(Math.max(0, Math.trunc(createdAtMs))) << COMMITS_PER_MS_BITS, 0);
}

async function dropShards(row: StreamRow, { log, beforeGone }: StepParts): Promise<null> {
  await Promise.all(shardsMade(row).map((index) => log.dropShard(shardRef(row, { index }))));
  await beforeGone(row);
  return null;
}

async function reshard(row: StreamRow, parts: StepParts): Promise<StreamRow> {
  const [round = [], ...rest] = row.reshard ?? [];
  const { reshard: _taken, ...next } = { ...row, map: await takeRound(row, round, parts) };
  return rest.length === 0 ? { ...next, status: 'ACTIVE' } : { ...next, reshard: rest };
}

async function setRetention(row: StreamRow, { log }: StepParts): Promise<StreamRow> {
  const isKept = async (shard: Shard): Promise<boolean> => {
    try {
      await log.setRetention(shardRef(row, shard), retentionMs(row));
      return true;
    } catch (error) {
      // Its records expired long ago and it has left the log: a longer retention must not show it again.
      if (isTributaryError(error, 'SHARD_NOT_FOUND') && shard.closedAtMs !== null) return false;
      throw error;
    }
  };
  const { shards } = row.map;
  // Together: they share a commit.
  const kept = await Promise.all(shards.map(isKept));
  const { isRetentionPending: _isPending, ...next } = row;
  return { ...next, map: { ...row.map, shards: shards.filter((_, index) => kept[index]) } };
}
