// DescribeStream: a page of shards with the stream's head (Kinesis API, DescribeStream).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext, StreamInput } from '../context.ts';
import { describeHead, describeShard } from '../description.ts';
import { shardIdOf } from '../../../stream/shard-map.ts';

const PAGE_SHARDS_MAX = 100;

export interface DescribeStreamInput extends StreamInput {
  readonly Limit?: number;
  readonly ExclusiveStartShardId?: string;
}

export async function describeStream(input: DescribeStreamInput, context: KinesisContext): Promise<object> {
  const row = context.catalog.get(streamNameOf(context.account, input));
  const after = input.ExclusiveStartShardId ?? '';
  const rest = row.map.shards.filter((shard) => shardIdOf(shard.index) > after);
  const page = rest.slice(0, Math.min(input.Limit ?? PAGE_SHARDS_MAX, PAGE_SHARDS_MAX));
  return {
    StreamDescription: {
      ...describeHead(row, context.account),
      Shards: await Promise.all(page.map((shard) => describeShard(row, shard, context))),
      HasMoreShards: page.length < rest.length,
    },
  };
}
