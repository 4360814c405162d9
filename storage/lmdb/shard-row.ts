// What an engine remembers of a shard beside its blocks. The row is written when the shard is made, closed or trimmed;
// an append alone leaves it, because the newest block's envelope says the rest.
import { nodeDigest } from '../../runtime/digest.ts';
import type { EpochStart } from './shard-epochs.ts';
import type { TimeSegment } from '../time-segments.ts';

/** Commits `commit`..`end` - 1, of which nothing is left. */
export interface LostRun {
  readonly commit: bigint;
  readonly end: bigint;
  readonly records: number;
  readonly bytes: number;
}

export interface ShardRow {
  /** Number of the shard in this store: the prefix of its keys. */
  readonly no: number;
  /** For people; verification counts by it. */
  readonly streamName: string;
  /** Never empty, ascending. */
  readonly epochs: readonly EpochStart[];
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
  /** Records and bytes before `first`; null in a row of format 1, which did not say. */
  readonly before: { readonly records: number; readonly bytes: number } | null;
  /** Among what is kept. */
  readonly lost: readonly LostRun[];
  /** Ever. */
  readonly lostRecords: number;
}

/** A shard without blocks whose first commit is `first`. */
export function newShardRow({
  epoch,
  ...row
}: Pick<ShardRow, 'no' | 'streamName' | 'retentionMs' | 'first'> & { readonly epoch: bigint }): ShardRow {
  return {
    ...row,
    epochs: [{ commit: row.first, epoch }],
    closed: false,
    oldest: row.first,
    next: row.first,
    lastArrivalMs: null,
    lastRecordCount: 0,
    cumulativeRecords: 0,
    cumulativeBytes: 0,
    segments: [],
    before: { records: 0, bytes: 0 },
    lost: [],
    lostRecords: 0,
  };
}

export function encodeShardRow(row: ShardRow): Uint8Array {
  const stored: StoredRow = {
    version: 2,
    ...row,
    epochs: row.epochs.map(({ commit, epoch }) => [commit.toString(), epoch.toString()]),
    first: row.first.toString(),
    oldest: row.oldest.toString(),
    next: row.next.toString(),
    retentionMs: row.retentionMs === Infinity ? null : row.retentionMs,
    segments: row.segments.map(({ commit, startMs }) => [commit.toString(), startMs]),
    lost: row.lost.map(({ commit, end, records, bytes }) => [
      commit.toString(),
      end.toString(),
      records,
      bytes,
    ]),
  };
  const text = JSON.stringify(stored);
  // A flipped digit is a row, too, and would hide or repeat what the shard has.
  return Buffer.from(JSON.stringify({ ...stored, checksum: checksumOf(text) }));
}

/** Reads what encodeShardRow wrote, now or in format 1; rows come from our own disk only. Throws when they do not. */
export function decodeShardRow(value: Uint8Array): ShardRow {
  const parsed = JSON.parse(Buffer.from(value).toString('utf8')) as StoredRow | StoredRowOf1;
  const { version: _version, checksum, ...stored } = 'epochs' in parsed ? parsed : upgraded(parsed);
  if (checksum !== undefined && checksum !== checksumOf(JSON.stringify({ version: 2, ...stored })))
    throw new SyntaxError('its checksum is another one');
  return {
    ...stored,
    epochs: stored.epochs.map(([commit, epoch]) => ({ commit: BigInt(commit), epoch: BigInt(epoch) })),
    first: BigInt(stored.first),
    oldest: BigInt(stored.oldest),
    next: BigInt(stored.next),
    retentionMs: stored.retentionMs ?? Infinity,
    segments: stored.segments.map(([commit, startMs]) => ({ commit: BigInt(commit), startMs })),
    lost: stored.lost.map(([commit, end, records, bytes]) => ({
      commit: BigInt(commit),
      end: BigInt(end),
      records,
      bytes,
    })),
  };
}

/** Records and bytes among the commits from `first` on that are counted and cannot be read. */
export function lostFrom({ lost }: ShardRow, first: bigint): { records: number; bytes: number } {
  const runs = lost.filter(({ commit }) => commit >= first);
  return {
    records: runs.reduce((sum, run) => sum + run.records, 0),
    bytes: runs.reduce((sum, run) => sum + run.bytes, 0),
  };
}

function upgraded({ epoch, ...row }: StoredRowOf1): StoredRow {
  return { ...row, version: 2, epochs: [['0', epoch]], before: null, lost: [], lostRecords: 0 };
}

function checksumOf(text: string): number {
  return nodeDigest.crc32(Buffer.from(text));
}

type TextField = 'epochs' | 'first' | 'oldest' | 'next' | 'retentionMs' | 'segments' | 'lost';

interface StoredRow extends Omit<ShardRow, TextField> {
  readonly version: number;
  /** CRC-32 of the row without it. */
  readonly checksum?: number;
  readonly epochs: readonly (readonly [string, string])[];
  readonly first: string;
  readonly oldest: string;
  readonly next: string;
  readonly retentionMs: number | null;
  readonly segments: readonly (readonly [string, number])[];
  readonly lost: readonly (readonly [string, string, number, number])[];
}

/** As format 1 had it. */
interface StoredRowOf1 extends Omit<StoredRow, 'epochs' | 'before' | 'lost' | 'lostRecords'> {
  readonly epoch: string;
}
