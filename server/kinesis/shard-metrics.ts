// The metrics of single shards that a stream's owner may switch on (Kinesis API, EnableEnhancedMonitoring).
import type { StreamInput } from './account.ts';
import { streamArn } from './arn.ts';
import type { Account } from './account.ts';
import { SHARD_METRICS } from './shard-metric-names.ts';
import type { ShardMetric } from './shard-metric-names.ts';
import type { StreamRow } from './stream-row.ts';

export interface ShardMetricsInput extends StreamInput {
  readonly ShardLevelMetrics: readonly (ShardMetric | 'ALL')[];
}

/** In the service's order, none twice; ALL stands for every one. */
export function metricsNamed(names: readonly (ShardMetric | 'ALL')[]): ShardMetric[] {
  return SHARD_METRICS.filter((metric) => names.includes('ALL') || names.includes(metric));
}

export function withMetrics(row: StreamRow, metrics: readonly ShardMetric[]): StreamRow {
  return { ...row, shardMetrics: metricsNamed(metrics) };
}

/** `before` and `after`: the stream as it was and is. */
export function describeMetricsChange(account: Account, before: StreamRow, after: StreamRow): object {
  return {
    StreamName: after.name,
    StreamARN: streamArn(account, after.name),
    CurrentShardLevelMetrics: before.shardMetrics ?? [],
    DesiredShardLevelMetrics: after.shardMetrics ?? [],
  };
}
