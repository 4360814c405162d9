// What the server remembers of a stream: one Meta value, so that every decision about it is one key.
import type { HashRange } from '../../stream/hash-range.ts';
import type { ShardRef } from '../../stream/ports.ts';
import { shardAt, shardIdOf } from '../../stream/shard-map.ts';
import type { ReshardRound, ReshardStep, Shard, ShardMap } from '../../stream/shard-map.ts';
import type { ShardMetric } from './shard-metric-names.ts';

export type StreamStatus = 'CREATING' | 'ACTIVE' | 'UPDATING' | 'DELETING';
/** What is allowed so many times a day. */
export type DailyChange =
  | 'StartStreamEncryption'
  | 'StopStreamEncryption'
  | 'UpdateShardCount'
  | 'UpdateStreamMode';
export type StreamMode = 'PROVISIONED' | 'ON_DEMAND';

export interface StreamRow {
  /** Never the same twice: iterators and tokens of a deleted stream do not fit one created later. */
  readonly id: string;
  readonly name: string;
  readonly status: StreamStatus;
  readonly mode: StreamMode;
  readonly createdAtMs: number;
  readonly retentionHours: number;
  /** The shards may still have the former one. */
  readonly isRetentionPending?: true;
  /** What was older when the retention was raised had expired, and does not come back. Absent: it never was raised. */
  readonly expiredBeforeMs?: number;
  readonly maxRecordKiB: number;
  /** What a stream on demand is to take at once; absent: nothing was asked for. */
  readonly warmMiBps?: number;
  /** Absent: none. */
  readonly shardMetrics?: readonly ShardMetric[];
  readonly tags: Readonly<Record<string, string>>;
  readonly policy?: string | undefined;
  /** With what new records are encrypted; absent: they are not. `keyId`: as the request named the key `key`. */
  readonly encryption?: { readonly keyId: string; readonly key: string };
  readonly map: ShardMap;
  /** Splits and merges that are still to be taken: a crash must not leave closed shards without children. */
  readonly reshard?: readonly ReshardRound[];
  /** When what is limited by the day was done. */
  readonly changedAtMs?: Readonly<Partial<Record<DailyChange, readonly number[]>>>;
  /** The gateway whose records made it; absent: somebody asked for it. */
  readonly madeFor?: string;
}

const VERSION = 1;
const HOUR_MS = 3_600_000;

export function retentionMs({ retentionHours }: StreamRow): number {
  return retentionHours * HOUR_MS;
}

/** Oldest moment whose records are kept, not before the stream was made. */
export function horizonMs(row: StreamRow, nowMs: number): number {
  return Math.max(row.createdAtMs, row.expiredBeforeMs ?? 0, nowMs - retentionMs(row));
}

/** Shards that still hold records or may get some: a closed one expires with its last record. */
export function unexpiredShards(row: StreamRow, nowMs: number): Shard[] {
  const oldestMs = horizonMs(row, nowMs);
  return row.map.shards.filter((shard) => isUnexpired(shard, oldestMs));
}

/** The one of that index, unless it has expired. */
export function unexpiredShard(row: StreamRow, index: number, nowMs: number): Shard | undefined {
  const shard = shardAt(row.map, index);
  return shard !== undefined && isUnexpired(shard, horizonMs(row, nowMs)) ? shard : undefined;
}

function isUnexpired({ closedAtMs }: Shard, oldestMs: number): boolean {
  return closedAtMs === null || closedAtMs > oldestMs;
}

export function encodeStreamRow({ map, reshard, ...row }: StreamRow): Uint8Array {
  const shards = map.shards.map((shard) => ({
    ...shard,
    range: [shard.range.start.toString(), shard.range.end.toString()],
  }));
  const rounds = reshard?.map((round) =>
    round.map((step) => (step.kind === 'split' ? { ...step, at: step.at.toString() } : step)),
  );
  return Buffer.from(JSON.stringify({ version: VERSION, ...row, map: { ...map, shards }, reshard: rounds }));
}

/** Reads what encodeStreamRow wrote; rows come from our own disk only. */
export function decodeStreamRow(value: Uint8Array): StreamRow {
  const {
    version: _version,
    map,
    reshard,
    ...row
  } = JSON.parse(Buffer.from(value).toString('utf8')) as StoredRow;
  const shards = map.shards.map((shard) => ({ ...shard, range: rangeOf(shard.range) }));
  const rounds = reshard?.map((round) => round.map(stepOf));
  return { ...row, map: { ...map, shards }, ...(rounds === undefined ? {} : { reshard: rounds }) };
}

export function shardRef(row: Pick<StreamRow, 'id'>, shard: Pick<Shard, 'index'>): ShardRef {
  return { streamId: row.id, shardId: shardIdOf(shard.index) };
}

interface StoredRow extends Omit<StreamRow, 'map' | 'reshard'> {
  readonly version: number;
  readonly reshard?: readonly (readonly StoredStep[])[];
  readonly map: { readonly nextIndex: number; readonly shards: readonly StoredShard[] };
}

interface StoredShard extends Omit<Shard, 'range'> {
  readonly range: readonly [string, string];
}

function rangeOf([start, end]: readonly [string, string]): HashRange {
  return { start: BigInt(start), end: BigInt(end) };
}

type StoredStep =
  | { readonly kind: 'split'; readonly shard: number; readonly at: string }
  | Extract<ReshardStep, { kind: 'merge' }>;

function stepOf(step: StoredStep): ReshardStep {
  return step.kind === 'split' ? { ...step, at: BigInt(step.at) } : step;
}
