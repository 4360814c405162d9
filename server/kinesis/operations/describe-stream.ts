// DescribeStream: a page of shards with the stream's head (Kinesis API, DescribeStream).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { describeHead, describeShard, indexBehind } from '../description.ts';
import { unexpiredShards } from '../stream-row.ts';

const PAGE_SHARDS_MAX = 100;

export interface DescribeStreamInput extends StreamInput {
  readonly Limit?: number;
  readonly ExclusiveStartShardId?: string;
}

export async function describeStream(input: DescribeStreamInput, context: KinesisContext): Promise<object> {
  const row = context.catalog.get(streamNameOf(context.account, input));
  const after = indexBehind(row, input.ExclusiveStartShardId, context);
  // Before it is ACTIVE its shards are not there for anybody.
  const shards = row.status === 'CREATING' ? [] : unexpiredShards(row, context.clock.wallMs());
  const rest = shards.filter((shard) => shard.index > after);
  const page = rest.slice(0, Math.min(input.Limit ?? PAGE_SHARDS_MAX, PAGE_SHARDS_MAX));
  return {
    StreamDescription: {
      ...describeHead(row, context.account),
      Shards: await Promise.all(page.map((shard) => describeShard(row, shard, context))),
      HasMoreShards: page.length < rest.length,
    },
  };
}
