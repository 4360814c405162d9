// MergeShards: two neighbours become one; answers when it is there (Kinesis API, MergeShards).
import { shardIdOf } from '../../../stream/shard-map.ts';
import type { ReshardStep, Shard } from '../../../stream/shard-map.ts';
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { kinesisError } from '../errors.ts';
import { checkProvisioned, openShardOf } from '../open-shard.ts';
import type { StreamRow } from '../stream-row.ts';

export interface MergeShardsInput extends StreamInput {
  readonly ShardToMerge: string;
  readonly AdjacentShardToMerge: string;
}

export async function mergeShards(input: MergeShardsInput, context: KinesisContext): Promise<undefined> {
  await context.catalog.reshard(streamNameOf(context.account, input), (row) => {
    checkProvisioned(row, context);
    const shard = openShardOf(row, input.ShardToMerge, context);
    const adjacent = openShardOf(row, input.AdjacentShardToMerge, context);
    checkAdjacent(row, shard, adjacent, context);
    const step: ReshardStep = { kind: 'merge', shard: shard.index, adjacent: adjacent.index };
    return [[step]];
  });
  return undefined;
}

function checkAdjacent(row: StreamRow, one: Shard, other: Shard, { account }: KinesisContext): void {
  const [lower, upper] = one.range.start < other.range.start ? [one, other] : [other, one];
  if (lower.range.end + 1n === upper.range.start) return;
  throw kinesisError(
    'InvalidArgumentException',
    `Shards ${shardIdOf(lower.index)} and ${shardIdOf(upper.index)} in stream ${row.name} under account ${account.accountId} are not an adjacent pair of shards eligible for merging`,
  );
}
