// What an engine remembers of a shard beside its blocks. The row is written when the shard is made, closed or trimmed;
// an append alone leaves it, because the newest block's envelope says the rest.
import type { TimeSegment } from './time-segments.ts';

export interface ShardRow {
  /** Number of the shard in this store: the prefix of its keys. */
  readonly no: number;
  /** For people; verification counts by it. */
  readonly streamName: string;
  readonly epoch: bigint;
  readonly closed: boolean;
  readonly retentionMs: number;
  /** Oldest commit kept. */
  readonly first: bigint;
  /** Oldest commit still on the disk: a long head is deleted over several commits. */
  readonly oldest: bigint;
  /** Commit of the next block. */
  readonly next: bigint;
  readonly lastArrivalMs: number | null;
  readonly lastRecordCount: number;
  readonly cumulativeRecords: number;
  readonly cumulativeBytes: number;
  readonly segments: readonly TimeSegment[];
}

/** A shard without blocks whose first commit is `first`. */
export function newShardRow(
  row: Pick<ShardRow, 'no' | 'streamName' | 'epoch' | 'retentionMs' | 'first'>,
): ShardRow {
  return {
    ...row,
    closed: false,
    oldest: row.first,
    next: row.first,
    lastArrivalMs: null,
    lastRecordCount: 0,
    cumulativeRecords: 0,
    cumulativeBytes: 0,
    segments: [],
  };
}

export function encodeShardRow(row: ShardRow): Uint8Array {
  const stored: StoredRow = {
    version: 1,
    ...row,
    epoch: row.epoch.toString(),
    first: row.first.toString(),
    oldest: row.oldest.toString(),
    next: row.next.toString(),
    retentionMs: row.retentionMs === Infinity ? null : row.retentionMs,
    segments: row.segments.map(({ commit, startMs }) => [commit.toString(), startMs]),
  };
  return Buffer.from(JSON.stringify(stored));
}

/** Reads what encodeShardRow wrote; rows come from our own disk only. Throws SyntaxError when they do not. */
export function decodeShardRow(value: Uint8Array): ShardRow {
  const { version: _version, ...stored } = JSON.parse(Buffer.from(value).toString('utf8')) as StoredRow;
  return {
    ...stored,
    epoch: BigInt(stored.epoch),
    first: BigInt(stored.first),
    oldest: BigInt(stored.oldest),
    next: BigInt(stored.next),
    retentionMs: stored.retentionMs ?? Infinity,
    segments: stored.segments.map(([commit, startMs]) => ({ commit: BigInt(commit), startMs })),
  };
}

type BigField = 'epoch' | 'first' | 'oldest' | 'next';

interface StoredRow extends Omit<ShardRow, BigField | 'retentionMs' | 'segments'> {
  readonly version: number;
  readonly epoch: string;
  readonly first: string;
  readonly oldest: string;
  readonly next: string;
  readonly retentionMs: number | null;
  readonly segments: readonly [string, number][];
}
