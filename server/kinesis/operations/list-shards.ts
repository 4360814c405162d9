// ListShards: the shards that a filter names, a page at a time, from one snapshot of the map (Kinesis API, ListShards).
import type { Shard } from '../../../stream/shard-map.ts';
import { streamNameOf } from '../arn.ts';
import type { KinesisContext, StreamInput } from '../context.ts';
import { describeShard, indexBehind } from '../description.ts';
import { kinesisError } from '../errors.ts';
import { listableStream } from '../listable-stream.ts';
import { horizonMs, unexpiredShards } from '../stream-row.ts';
import type { StreamRow } from '../stream-row.ts';

const PAGE_SHARDS_MAX = 1_000;
const TOKEN_KIND = 'shards';

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
  /** Milliseconds. */
  readonly StreamCreationTimestamp?: number;
  readonly ShardFilter?: ShardFilter;
}

/** What a NextToken carries. */
interface Cursor {
  readonly streamId: string;
  /** Index of the last shard that was listed. */
  readonly after: number;
  readonly filter: ShardFilter;
}

export async function listShards(input: ListShardsInput, context: KinesisContext): Promise<object> {
  const { row, after, filter } = startOf(input, context);
  const nowMs = context.clock.wallMs();
  const matches = matcherOf(row, filter, nowMs, context);
  const rest = unexpiredShards(row, nowMs).filter((shard) => shard.index > after && matches(shard));
  const page = rest.slice(0, Math.min(input.MaxResults ?? PAGE_SHARDS_MAX, PAGE_SHARDS_MAX));
  const last = page.at(-1);
  const cursor: Cursor = { streamId: row.id, after: last?.index ?? after, filter };
  return {
    Shards: await Promise.all(page.map((shard) => describeShard(row, shard, context))),
    ...(page.length < rest.length ? { NextToken: context.tokens.sealPage(TOKEN_KIND, cursor, nowMs) } : {}),
  };
}

function startOf(
  input: ListShardsInput,
  context: KinesisContext,
): { row: StreamRow; after: number; filter: ShardFilter } {
  const { account, catalog, clock, tokens } = context;
  const isNamed = input.StreamName !== undefined || input.StreamARN !== undefined;
  if (input.NextToken === undefined) {
    if (!isNamed)
      throw kinesisError('InvalidArgumentException', 'Either NextToken or StreamName should be provided.');
    const row = listableStream(streamNameOf(account, input), input.StreamCreationTimestamp, context);
    return {
      row,
      after: indexBehind(row, input.ExclusiveStartShardId, context),
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

function matcherOf(
  row: StreamRow,
  filter: ShardFilter,
  nowMs: number,
  context: KinesisContext,
): (shard: Shard) => boolean {
  const oldestMs = horizonMs(row, nowMs);
  const closedMs = (shard: Shard): number => shard.closedAtMs ?? Infinity;
  // At the moment of a split only the children are there, or clients would see two owners of a hash key.
  const openAt =
    (atMs: number) =>
    (shard: Shard): boolean =>
      shard.createdAtMs <= atMs && closedMs(shard) > atMs;
  switch (filter.Type) {
    case 'FROM_TRIM_HORIZON':
      return () => true;
    case 'AT_LATEST':
      return (shard) => shard.closedAtMs === null;
    case 'AT_TRIM_HORIZON':
      return openAt(oldestMs);
    case 'AT_TIMESTAMP':
      return openAt(Math.max(timestampOf(filter), oldestMs));
    case 'FROM_TIMESTAMP': {
      const atMs = Math.max(timestampOf(filter), oldestMs);
      return (shard) => closedMs(shard) >= atMs;
    }
    case 'AFTER_SHARD_ID': {
      if (filter.ShardId === undefined)
        throw kinesisError(
          'InvalidArgumentException',
          'A ShardFilter of type AFTER_SHARD_ID needs a ShardId.',
        );
      const after = indexBehind(row, filter.ShardId, context);
      return (shard) => shard.index > after;
    }
  }
}

function timestampOf(filter: ShardFilter): number {
  if (filter.Timestamp !== undefined) return filter.Timestamp;
  throw kinesisError('InvalidArgumentException', `A ShardFilter of type ${filter.Type} needs a Timestamp.`);
}
