// What the model says of shards: their splits and merges, and how they are listed.
import { expect } from 'vitest';
import { HASH_KEYS, Refused, arnOf, describeHead, idOf, openShards } from './state.ts';
import type { Json, Model, ModelShard, ModelStream, Operation } from './state.ts';

const RESIZES_A_DAY = 10;

interface Listed {
  readonly ShardId: string;
  readonly ParentShardId?: string;
  readonly AdjacentParentShardId?: string;
  readonly HashKeyRange: { readonly StartingHashKey: string; readonly EndingHashKey: string };
}

export const hashKeyRange = ({ start, end }: ModelShard): object => ({
  StartingHashKey: start.toString(),
  EndingHashKey: end.toString(),
});

function describeShard(shard: ModelShard): object {
  const [parent, adjacent] = shard.parents;
  const number = expect.stringMatching(/^\d{56}$/) as unknown;
  return {
    ShardId: idOf(shard.index),
    ...(parent === undefined ? {} : { ParentShardId: idOf(parent) }),
    ...(adjacent === undefined ? {} : { AdjacentParentShardId: idOf(adjacent) }),
    HashKeyRange: hashKeyRange(shard),
    SequenceNumberRange: {
      StartingSequenceNumber: number,
      ...(shard.closedAtMs === null ? {} : { EndingSequenceNumber: number }),
    },
  };
}

/** Numbers of records lie between the numbers of their shard. */
function checkRange({ records }: ModelShard, listed: unknown): void {
  const range = (listed as { SequenceNumberRange: Record<string, string> }).SequenceNumberRange;
  for (const { number } of records) {
    expect(number >= (range['StartingSequenceNumber'] ?? '')).toBe(true);
    expect(number <= (range['EndingSequenceNumber'] ?? number)).toBe(true);
  }
}

function checkShards(shards: readonly ModelShard[], listed: unknown): void {
  expect(listed).toEqual(shards.map(describeShard));
  shards.forEach((shard, place) => checkRange(shard, (listed as unknown[])[place]));
}

function listed(stream: ModelStream, filter: Json): ModelShard[] {
  const all = [...stream.shards.values()].toSorted((a, b) => a.index - b.index);
  const { oldestMs } = stream;
  const atMs = Math.max(oldestMs, Math.round(Number(filter['Timestamp'] ?? 0) * 1000));
  const isOpenAt = (shard: ModelShard, ms: number): boolean =>
    shard.createdAtMs <= ms && (shard.closedAtMs ?? Infinity) >= ms;
  switch (filter['Type']) {
    case 'AT_LATEST':
      return all.filter(({ closedAtMs }) => closedAtMs === null);
    case 'AT_TRIM_HORIZON':
      return all.filter((shard) => isOpenAt(shard, oldestMs));
    case 'AT_TIMESTAMP':
      return all.filter((shard) => isOpenAt(shard, atMs));
    case 'FROM_TIMESTAMP':
      return all.filter((shard) => (shard.closedAtMs ?? Infinity) >= atMs);
    case 'AFTER_SHARD_ID':
      return all.filter(({ index }) => idOf(index) > String(filter['ShardId']));
    default:
      return all;
  }
}

function openShard(stream: ModelStream, id: unknown): ModelShard {
  const shard = [...stream.shards.values()].find(({ index }) => idOf(index) === id);
  if (shard === undefined) throw new Refused('ResourceNotFoundException');
  if (shard.closedAtMs !== null) throw new Refused('ResourceInUseException');
  return shard;
}

function provisioned(model: Model, input: Json): ModelStream {
  const stream = model.stream(input);
  if (stream.mode === 'ON_DEMAND') throw new Refused('ValidationException');
  return stream;
}

/** The service chooses the steps of a resize: what it made is checked, and taken over. */
function adopt(model: Model, stream: ModelStream, shards: readonly Listed[], target: number): void {
  for (const { ShardId, ParentShardId, AdjacentParentShardId, HashKeyRange } of shards) {
    if ([...stream.shards.values()].some(({ index }) => idOf(index) === ShardId)) continue;
    const ids = [ParentShardId, AdjacentParentShardId].filter((id) => id !== undefined);
    const parents = ids.map((id) => openShard(stream, id));
    const start = BigInt(HashKeyRange.StartingHashKey);
    const end = BigInt(HashKeyRange.EndingHashKey);
    const [parent, adjacent] = parents;
    if (adjacent === undefined) expect(start === parent?.start || end === parent?.end).toBe(true);
    else expect([start, end]).toEqual([parent?.start, adjacent.end]);
    const isLast = adjacent !== undefined || end === parent?.end;
    const child = model.addShard(
      stream,
      start,
      end,
      parents.map(({ index }) => index),
    );
    expect(idOf(child.index)).toBe(ShardId);
    if (isLast) for (const one of parents) one.closedAtMs = model.nowMs;
  }
  const open = openShards(stream);
  expect(open).toHaveLength(target);
  expect([open[0]?.start, open.at(-1)?.end]).toEqual([0n, HASH_KEYS - 1n]);
  for (const [place, shard] of open.slice(1).entries())
    expect(shard.start).toBe((open[place]?.end ?? 0n) + 1n);
}

export const SHARDS: Readonly<Record<string, Operation>> = {
  DescribeStream: (model, input) => {
    const stream = model.stream(input);
    const after = (input['ExclusiveStartShardId'] ?? '') as string;
    const rest = listed(stream, {}).filter(({ index }) => idOf(index) > after);
    const page = rest.slice(0, Number(input['Limit'] ?? 100));
    return ({ StreamDescription }) => {
      const { Shards, ...head } = StreamDescription as Record<string, unknown>;
      expect(head).toEqual({ ...describeHead(stream), HasMoreShards: page.length < rest.length });
      checkShards(page, Shards);
    };
  },

  ListShards: (model, input) => {
    const stream = model.stream(input);
    const all = listed(stream, (input['ShardFilter'] ?? {}) as Json);
    const page = all.slice(0, Number(input['MaxResults'] ?? 1000));
    return ({ Shards, NextToken }) => {
      checkShards(page, Shards);
      expect(NextToken !== undefined).toBe(page.length < all.length);
    };
  },

  SplitShard: (model, input) => {
    const stream = provisioned(model, input);
    const shard = openShard(stream, input['ShardToSplit']);
    const at = BigInt(String(input['NewStartingHashKey']));
    if (at <= shard.start + 1n || at >= shard.end) throw new Refused('InvalidArgumentException');
    shard.closedAtMs = model.nowMs;
    model.addShard(stream, shard.start, at - 1n, [shard.index]);
    model.addShard(stream, at, shard.end, [shard.index]);
    return (answer) => expect(answer).toEqual({});
  },

  MergeShards: (model, input) => {
    const stream = provisioned(model, input);
    const one = openShard(stream, input['ShardToMerge']);
    const other = openShard(stream, input['AdjacentShardToMerge']);
    const [lower, upper] = one.start < other.start ? [one, other] : [other, one];
    if (lower.end + 1n !== upper.start) throw new Refused('InvalidArgumentException');
    for (const shard of [one, other]) shard.closedAtMs = model.nowMs;
    model.addShard(stream, lower.start, upper.end, [one.index, other.index]);
    return (answer) => expect(answer).toEqual({});
  },

  UpdateShardCount: (model, input) => {
    const stream = provisioned(model, input);
    const target = Number(input['TargetShardCount']);
    const current = openShards(stream).length;
    if (target > 2 * current || 2 * target < current) throw new Refused('LimitExceededException');
    model.checkDaily(stream.resizedAtMs, RESIZES_A_DAY);
    stream.resizedAtMs.push(model.nowMs);
    const { name: StreamName } = stream;
    const counts = { CurrentShardCount: current, TargetShardCount: target };
    return ({ shards, ...answer }) => {
      expect(answer).toEqual({ StreamName, StreamARN: arnOf(StreamName), ...counts });
      adopt(model, stream, shards as Listed[], target);
    };
  },
};
