// The throughput that a stream on demand has from the start, and its shards: each takes 1 MiB/s (Kinesis API,
// UpdateStreamWarmThroughput).
import { planResize } from '../../stream/reshard.ts';
import { openShards } from '../../stream/shard-map.ts';
import type { AccountSettings } from './account-settings.ts';
import { kinesisError } from './errors.ts';
import type { StreamMode, StreamRow } from './stream-row.ts';

/** A stream on demand starts with this many, and never has fewer by itself. */
const ON_DEMAND_SHARDS = 4;

/** Shards that a stream keeps though they carry little. */
export function shardsMin({ mode, warmMiBps = 0 }: Pick<StreamRow, 'mode' | 'warmMiBps'>): number {
  return mode === 'ON_DEMAND' ? Math.max(ON_DEMAND_SHARDS, warmMiBps) : 1;
}

/** The row that has at least the shards for it. */
export function withWarmThroughput(row: StreamRow, warmMiBps: number): StreamRow {
  const next = { ...row, warmMiBps };
  const isEnough = openShards(row.map).length >= shardsMin(next);
  return isEnough ? next : { ...next, reshard: planResize(row.map, shardsMin(next)) };
}

/** Throws InvalidArgumentException unless the stream and the account may have one. */
export function checkWarmThroughput(mode: StreamMode, settings: AccountSettings): void {
  if (mode !== 'ON_DEMAND')
    throw kinesisError('InvalidArgumentException', 'Warm throughput is for streams in On-Demand mode only.');
  if (settings.isCommitted) return;
  throw kinesisError(
    'InvalidArgumentException',
    'Warm throughput needs an account whose MinimumThroughputBillingCommitment is ENABLED; see UpdateAccountSettings.',
  );
}

/** Undefined: none was asked for. */
export function describeWarmThroughput(row: StreamRow): object | undefined {
  if (row.warmMiBps === undefined) return undefined;
  const currentMiBps = Math.min(row.warmMiBps, openShards(row.map).length);
  return { TargetMiBps: row.warmMiBps, CurrentMiBps: currentMiBps };
}
