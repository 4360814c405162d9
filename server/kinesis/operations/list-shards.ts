// ListShards: the shards that a filter names, a page at a time, from one snapshot of the map (Kinesis API, ListShards).
import { mapBefore } from '../../../stream/shard-map.ts';
import type { Shard } from '../../../stream/shard-map.ts';
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { describeShard, indexBehind } from '../description.ts';
import { kinesisError } from '../errors.ts';
import { listableStream } from '../listable-stream.ts';
import { openShardPage, sealShardPage } from '../shard-page.ts';
import type { ShardFilter, ShardPage } from '../shard-page.ts';
import { horizonMs, unexpiredShards } from '../stream-row.ts';
import type { StreamRow } from '../stream-row.ts';

const PAGE_SHARDS_MAX = 1_000;

export interface ListShardsInput extends StreamInput {
  readonly NextToken?: string;
  readonly MaxResults?: number;
  readonly ExclusiveStartShardId?: string;
  /** Milliseconds. */
  readonly StreamCreationTimestamp?: number;
  readonly ShardFilter?: ShardFilter;
}

export async function listShards(input: ListShardsInput, context: KinesisContext): Promise<object> {
  const { row, page: began } = startOf(input, context);
  const matches = matcherOf(row, began, context);
  const rest = unexpiredShards(row, began.beganAtMs).filter(
    (shard) => shard.index > began.after && matches(shard),
  );
  const page = rest.slice(0, Math.min(input.MaxResults ?? PAGE_SHARDS_MAX, PAGE_SHARDS_MAX));
  const next = { ...began, after: page.at(-1)?.index ?? began.after };
  return {
    Shards: await Promise.all(page.map((shard) => describeShard(row, shard, context))),
    ...(page.length < rest.length ? { NextToken: sealShardPage(next, context) } : {}),
  };
}

interface Start {
  /** With the shards that the listing knows of. */
  readonly row: StreamRow;
  readonly page: ShardPage;
}

function startOf(input: ListShardsInput, context: KinesisContext): Start {
  const { account, catalog, clock } = context;
  const isNamed = input.StreamName !== undefined || input.StreamARN !== undefined;
  if (input.NextToken === undefined) {
    if (!isNamed)
      throw kinesisError('InvalidArgumentException', 'Either NextToken or StreamName should be provided.');
    const row = listableStream(streamNameOf(account, input), input.StreamCreationTimestamp, context);
    const page = {
      streamId: row.id,
      after: indexBehind(row, input.ExclusiveStartShardId, context),
      filter: input.ShardFilter ?? ({ Type: 'FROM_TRIM_HORIZON' } as const),
      nextIndex: row.map.nextIndex,
      beganAtMs: clock.wallMs(),
    };
    return { row, page };
  }
  const page = openShardPage(input.NextToken, context);
  const row = catalog.byId(page.streamId);
  if (row === undefined)
    throw kinesisError('ResourceNotFoundException', 'The stream of this NextToken is gone.');
  // Paginators of the AWS CLI send the name beside the token; only a token of another stream is refused.
  if (isNamed && streamNameOf(account, input) !== row.name) {
    throw kinesisError('InvalidArgumentException', 'NextToken and StreamName cannot be provided together.');
  }
  return { row: { ...row, map: mapBefore(row.map, page.nextIndex) }, page };
}

function matcherOf(
  row: StreamRow,
  { filter, beganAtMs }: ShardPage,
  context: KinesisContext,
): (shard: Shard) => boolean {
  const oldestMs = horizonMs(row, beganAtMs);
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
