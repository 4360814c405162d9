// SplitShard: one shard becomes two at a hash key; answers when both are there (Kinesis API, SplitShard).
import { parseHashKey } from '../../../stream/hash-range.ts';
import type { Shard } from '../../../stream/shard-map.ts';
import { shardIdOf } from '../../../stream/shard-map.ts';
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { kinesisError } from '../errors.ts';
import { checkProvisioned, openShardOf } from '../open-shard.ts';
import type { StreamRow } from '../stream-row.ts';

export interface SplitShardInput extends StreamInput {
  readonly ShardToSplit: string;
  readonly NewStartingHashKey: string;
}

export async function splitShard(input: SplitShardInput, context: KinesisContext): Promise<undefined> {
  await context.catalog.reshard(streamNameOf(context.account, input), (row) => {
    checkProvisioned(row, context);
    const shard = openShardOf(row, input.ShardToSplit, context);
    return [[{ kind: 'split', shard: shard.index, at: splitKey(input, row, shard, context) }]];
  });
  return undefined;
}

function splitKey(
  { NewStartingHashKey: text }: SplitShardInput,
  row: StreamRow,
  { index, range }: Shard,
  { account }: KinesisContext,
): bigint {
  const at = hashKey(text);
  if (at !== null && at > range.start + 1n && at < range.end) return at;
  throw kinesisError(
    'InvalidArgumentException',
    `NewStartingHashKey ${text} used in SplitShard() on shard ${shardIdOf(index)} in stream ${row.name} under account ${account.accountId} is not both greater than one plus the shard's StartingHashKey ${range.start} and less than the shard's EndingHashKey ${range.end}.`,
  );
}

function hashKey(text: string): bigint | null {
  try {
    return parseHashKey(text);
  } catch {
    return null;
  }
}
