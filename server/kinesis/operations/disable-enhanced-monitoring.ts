// DisableEnhancedMonitoring: those that are off stay so (Kinesis API, DisableEnhancedMonitoring).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import { describeMetricsChange, metricsNamed, withMetrics } from '../shard-metrics.ts';
import type { ShardMetricsInput } from '../shard-metrics.ts';

export async function disableEnhancedMonitoring(
  input: ShardMetricsInput,
  { account, catalog }: KinesisContext,
): Promise<object> {
  const name = streamNameOf(account, input);
  const named = metricsNamed(input.ShardLevelMetrics);
  let before = catalog.get(name);
  const after = await catalog.update(name, (row) => {
    before = row;
    return withMetrics(
      row,
      (row.shardMetrics ?? []).filter((metric) => !named.includes(metric)),
    );
  });
  return describeMetricsChange(account, before, after);
}
