// ListShards: the shards that a filter names, a page at a time, from one snapshot of the map (Kinesis API, ListShards).
import { shardIdOf } from '../../../stream/shard-map.ts';
import type { Shard } from '../../../stream/shard-map.ts';
import { streamNameOf } from '../arn.ts';
import type { KinesisContext, StreamInput } from '../context.ts';
import { describeShard } from '../description.ts';
import { kinesisError } from '../errors.ts';
import type { StreamRow } from '../stream-row.ts';

const PAGE_SHARDS_MAX = 1_000;
const TOKEN_KIND = 'shards';
const HOUR_MS = 3_600_000;

interface ShardFilter {
  readonly Type:
    | 'AFTER_SHARD_ID'
    | 'AT_TRIM_HORIZON'
    | 'FROM_TRIM_HORIZON'
    | 'AT_LATEST'
    | 'AT_TIMESTAMP'
    | 'FROM_TIMESTAMP';
  readonly ShardId?: string;
  /** Milliseconds. */
  readonly Timestamp?: number;
}

export interface ListShardsInput extends StreamInput {
  readonly NextToken?: string;
  readonly MaxResults?: number;
  readonly ExclusiveStartShardId?: string;
  readonly ShardFilter?: ShardFilter;
}

/** What a NextToken carries. */
interface Cursor {
  readonly streamId: string;
  readonly after: string;
  readonly filter: ShardFilter;
}

export async function listShards(input: ListShardsInput, context: KinesisContext): Promise<object> {
  const { row, after, filter } = startOf(input, context);
  const nowMs = context.clock.wallMs();
  const rest = row.map.shards.filter(
    (shard) => shardIdOf(shard.index) > after && matches(row, shard, filter, nowMs),
  );
  const page = rest.slice(0, Math.min(input.MaxResults ?? PAGE_SHARDS_MAX, PAGE_SHARDS_MAX));
  const last = page.at(-1);
  const cursor: Cursor = {
    streamId: row.id,
    after: last === undefined ? after : shardIdOf(last.index),
    filter,
  };
  return {
    Shards: await Promise.all(page.map((shard) => describeShard(row, shard, context))),
    ...(page.length < rest.length ? { NextToken: context.tokens.sealPage(TOKEN_KIND, cursor, nowMs) } : {}),
  };
}

function startOf(
  input: ListShardsInput,
  context: KinesisContext,
): { row: StreamRow; after: string; filter: ShardFilter } {
  const { account, catalog, clock, tokens } = context;
  const isNamed = input.StreamName !== undefined || input.StreamARN !== undefined;
  if (input.NextToken === undefined) {
    if (!isNamed)
      throw kinesisError('InvalidArgumentException', 'Either NextToken or StreamName should be provided.');
    const row = catalog.get(streamNameOf(account, input));
    return {
      row,
      after: input.ExclusiveStartShardId ?? '',
      filter: input.ShardFilter ?? { Type: 'FROM_TRIM_HORIZON' },
    };
  }
  const { streamId, after, filter } = tokens.openPage(TOKEN_KIND, input.NextToken, clock.wallMs()) as Cursor;
  const row = catalog.byId(streamId);
  if (row === undefined)
    throw kinesisError('ResourceNotFoundException', 'The stream of this NextToken is gone.');
  // Paginators of the AWS CLI send the name beside the token; only a token of another stream is refused.
  if (isNamed && streamNameOf(account, input) !== row.name) {
    throw kinesisError('InvalidArgumentException', 'NextToken and StreamName cannot be provided together.');
  }
  return { row, after, filter };
}

function matches(row: StreamRow, shard: Shard, filter: ShardFilter, nowMs: number): boolean {
  const horizonMs = Math.max(row.createdAtMs, nowMs - row.retentionHours * HOUR_MS);
  const closedMs = shard.closedAtMs ?? Infinity;
  if (closedMs < horizonMs) return false;
  const atMs = Math.max(filter.Timestamp ?? horizonMs, horizonMs);
  switch (filter.Type) {
    case 'FROM_TRIM_HORIZON':
      return true;
    case 'AT_LATEST':
      return closedMs === Infinity;
    case 'AT_TRIM_HORIZON':
      return shard.createdAtMs <= horizonMs;
    case 'AT_TIMESTAMP':
      return shard.createdAtMs <= required(filter, atMs) && closedMs >= atMs;
    case 'FROM_TIMESTAMP':
      return closedMs >= required(filter, atMs);
    case 'AFTER_SHARD_ID':
      if (filter.ShardId !== undefined) return shardIdOf(shard.index) > filter.ShardId;
      throw kinesisError('InvalidArgumentException', 'A ShardFilter of type AFTER_SHARD_ID needs a ShardId.');
  }
}

function required(filter: ShardFilter, atMs: number): number {
  if (filter.Timestamp !== undefined) return atMs;
  throw kinesisError('InvalidArgumentException', `A ShardFilter of type ${filter.Type} needs a Timestamp.`);
}
