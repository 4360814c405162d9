// DescribeLimits: what the account has and may have (Kinesis API, DescribeLimits).
import type { KinesisContext } from '../context.ts';

export function describeLimits(_input: object, { catalog }: KinesisContext): Promise<object> {
  const { limits } = catalog;
  return Promise.resolve({
    ShardLimit: limits.shardsMax,
    OpenShardCount: limits.shardCount,
    OnDemandStreamCount: limits.onDemandStreamCount,
    OnDemandStreamCountLimit: limits.onDemandStreamsMax,
  });
}
