// Streams and shards as the wire describes them.
import { START_POSITION, afterBlock } from '../../stream/position.ts';
import { formatSequenceNumber } from '../../stream/sequence-number.ts';
import { childrenOf, openShards, shardIdOf, shardIndexOf } from '../../stream/shard-map.ts';
import type { Shard } from '../../stream/shard-map.ts';
import { streamArn } from './arn.ts';
import type { Consumer } from './consumers.ts';
import type { KinesisContext } from './context.ts';
import { kinesisError } from './errors.ts';
import { shardRef } from './stream-row.ts';
import { encryptionType } from './stream-encryption.ts';
import type { StreamRow } from './stream-row.ts';
import { describeWarmThroughput } from './warm-throughput.ts';

export function describeSummary(row: StreamRow, { account, consumers }: KinesisContext): object {
  return {
    ...describeHead(row, account),
    OpenShardCount: openShards(row.map).length,
    ConsumerCount: consumers.listOf(row.id).length,
    MaxRecordSizeInKiB: row.maxRecordKiB,
    ...(row.warmMiBps === undefined ? {} : { WarmThroughput: describeWarmThroughput(row) }),
  };
}

export function describeHead(row: StreamRow, account: KinesisContext['account']): object {
  return {
    StreamName: row.name,
    StreamARN: streamArn(account, row.name),
    StreamStatus: row.status,
    StreamModeDetails: { StreamMode: row.mode },
    RetentionPeriodHours: row.retentionHours,
    StreamCreationTimestamp: row.createdAtMs / 1000,
    EnhancedMonitoring: [{ ShardLevelMetrics: row.shardMetrics ?? [] }],
    EncryptionType: encryptionType(row),
    ...(row.encryption === undefined ? {} : { KeyId: row.encryption.keyId }),
  };
}

export function describeConsumer(consumer: Consumer): object {
  return {
    ConsumerName: consumer.name,
    ConsumerARN: consumer.arn,
    ConsumerStatus: consumer.status,
    ConsumerCreationTimestamp: consumer.createdAtMs / 1000,
  };
}

export async function describeShard(row: StreamRow, shard: Shard, { log }: KinesisContext): Promise<object> {
  const [parent, adjacent] = shard.parents;
  return {
    ShardId: shardIdOf(shard.index),
    ...(parent === undefined ? {} : { ParentShardId: shardIdOf(parent) }),
    ...(adjacent === undefined ? {} : { AdjacentParentShardId: shardIdOf(adjacent) }),
    HashKeyRange: hashKeyRange(shard),
    SequenceNumberRange: {
      // Lies below the first record whatever it is.
      StartingSequenceNumber: formatSequenceNumber(START_POSITION, shard.index),
      ...(shard.closedAtMs === null ? {} : { EndingSequenceNumber: await endingNumber(row, shard, log) }),
    },
  };
}

/** Index of the shard a listing starts behind, -1 for the first. Throws ResourceNotFoundException for what is no id. */
export function indexBehind(
  row: StreamRow,
  shardId: string | undefined,
  { account }: KinesisContext,
): number {
  if (shardId === undefined) return -1;
  const index = shardIndexOf(shardId);
  if (index !== null) return index;
  const text = `Could not find shard ${shardId} in stream ${row.name} under account ${account.accountId}.`;
  throw kinesisError('ResourceNotFoundException', text);
}

/** What a reader gets at the end of a closed shard (Kinesis API, ChildShard). */
export function describeChildren(row: StreamRow, shardIndex: number): object[] {
  return childrenOf(row.map, shardIndex).map((child) => ({
    ShardId: shardIdOf(child.index),
    ParentShards: child.parents.map(shardIdOf),
    HashKeyRange: hashKeyRange(child),
  }));
}

function hashKeyRange({ range }: Shard): object {
  return { StartingHashKey: range.start.toString(), EndingHashKey: range.end.toString() };
}

async function endingNumber(row: StreamRow, shard: Shard, log: KinesisContext['log']): Promise<string> {
  const { last, next } = await log.bounds(shardRef(row, shard));
  return formatSequenceNumber(last === null ? next : afterBlock(last), shard.index);
}
