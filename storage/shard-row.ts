// What an engine remembers of a shard beside its blocks. The row is written when the shard is made, closed or trimmed;
// an append alone leaves it, because the newest block's envelope says the rest.
import type { TimeSegment } from './time-segments.ts';

export interface ShardRow {
  /** Number of the shard in this store: the prefix of its keys. */
  readonly no: number;
  readonly epoch: bigint;
  readonly closed: boolean;
  readonly retentionMs: number;
  /** Oldest commit kept. */
  readonly first: bigint;
  /** Commit of the next block. */
  readonly next: bigint;
  readonly lastArrivalMs: number | null;
  readonly lastRecordCount: number;
  readonly cumulativeRecords: number;
  readonly cumulativeBytes: number;
  readonly segments: readonly TimeSegment[];
}

export function encodeShardRow(row: ShardRow): Uint8Array {
  const segments = row.segments.map(({ commit, startMs }) => [commit.toString(), startMs]);
  const retentionMs = row.retentionMs === Infinity ? null : row.retentionMs;
  const numbers = { epoch: row.epoch.toString(), first: row.first.toString(), next: row.next.toString() };
  return Buffer.from(JSON.stringify({ version: 1, ...row, ...numbers, retentionMs, segments }));
}

/** Reads what encodeShardRow wrote; rows come from our own disk only. */
export function decodeShardRow(value: Uint8Array): ShardRow {
  const { version: _version, ...stored } = JSON.parse(Buffer.from(value).toString('utf8')) as StoredRow;
  return {
    ...stored,
    epoch: BigInt(stored.epoch),
    first: BigInt(stored.first),
    next: BigInt(stored.next),
    retentionMs: stored.retentionMs ?? Infinity,
    segments: stored.segments.map(([commit, startMs]) => ({ commit: BigInt(commit), startMs })),
  };
}

interface StoredRow extends Omit<ShardRow, 'epoch' | 'first' | 'next' | 'retentionMs' | 'segments'> {
  readonly version: number;
  readonly epoch: string;
  readonly first: string;
  readonly next: string;
  readonly retentionMs: number | null;
  readonly segments: readonly [string, number][];
}
