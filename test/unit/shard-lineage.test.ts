// Goal: a shard ends where its children begin, behind its last record, whatever the clock does: nothing is hidden, and
// every filter names shards that cover each hash key once. Method: the operations over the store in memory, and a clock
// that the test turns both ways.
import { beforeEach, describe, expect, it } from 'vitest';
import { KinesisClient } from './kinesis-client.ts';

const HOUR_MS = 3_600_000;
const StreamName = 's';
const HALF = 2n ** 127n;

let rig: KinesisClient;
beforeEach(async () => {
  rig = await KinesisClient.open();
  await rig.call('CreateStream', { StreamName, ShardCount: 1 });
});

interface Listed {
  readonly ShardId: string;
  readonly HashKeyRange: { readonly StartingHashKey: string; readonly EndingHashKey: string };
}

const idOf = (index: number) => `shardId-${String(index).padStart(12, '0')}`;
const put = (text: string) =>
  rig.call('PutRecord', { StreamName, PartitionKey: 'k', Data: Buffer.from(text).toString('base64') });
const split = (index: number, at = HALF) =>
  rig.call('SplitShard', { StreamName, ShardToSplit: idOf(index), NewStartingHashKey: at.toString() });
const shards = async (ShardFilter?: object) =>
  (await rig.call('ListShards', { StreamName, ...(ShardFilter === undefined ? {} : { ShardFilter }) }))[
    'Shards'
  ] as Listed[];
const idsOf = async (filter?: object) => (await shards(filter)).map(({ ShardId }) => ShardId);
/** The texts of a shard, and the children it ends with. */
const read = async (index: number) => {
  const start = { StreamName, ShardId: idOf(index), ShardIteratorType: 'TRIM_HORIZON' };
  const page = await rig.call('GetRecords', await rig.call('GetShardIterator', start));
  const texts = (page['Records'] as { Data: string }[]).map(({ Data }) =>
    Buffer.from(Data, 'base64').toString(),
  );
  const children = (page['ChildShards'] ?? []) as { ShardId: string }[];
  return [texts.join(''), ...children.map(({ ShardId }) => ShardId)];
};

describe('a shard that was split keeps its records', () => {
  it('when the clock was set back behind the making of the stream', async () => {
    await put('a');
    rig.passMs(-10_000);
    await split(0);
    expect(await idsOf()).toEqual([0, 1, 2].map(idOf));
    expect(await read(0)).toEqual(['a', idOf(1), idOf(2)]);
  });

  it('when the clock was days behind at the split', async () => {
    rig.passMs(72 * HOUR_MS);
    await put('a');
    rig.passMs(-48 * HOUR_MS);
    await split(0);
    rig.passMs(48 * HOUR_MS);
    expect(await read(0)).toEqual(['a', idOf(1), idOf(2)]);
  });

  it('and its children, when the clock was ahead at the first split only', async () => {
    await put('a');
    rig.passMs(48 * HOUR_MS);
    await split(0);
    rig.passMs(-48 * HOUR_MS);
    await split(1, HALF / 2n);
    rig.passMs(25 * HOUR_MS);
    const [, ...children] = await read(0);
    expect(children).toEqual([idOf(1), idOf(2)]);
    expect(await read(1)).toEqual(['', idOf(3), idOf(4)]);
  });
});

describe('every hash key has one shard', () => {
  /** Throws unless the ranges follow each other. */
  const covered = (listed: readonly Listed[]): string[] => {
    const ranges = listed.map(
      ({ HashKeyRange }) =>
        [BigInt(HashKeyRange.StartingHashKey), BigInt(HashKeyRange.EndingHashKey)] as const,
    );
    let next = 0n;
    for (const [start, end] of ranges.toSorted((a, b) => (a[0] < b[0] ? -1 : 1))) {
      expect(start).toBe(next);
      next = end + 1n;
    }
    expect(next).toBe(2n ** 128n);
    return listed.map(({ ShardId }) => ShardId);
  };

  it('at the oldest moment that is kept, though the stream was split in the millisecond it was made in', async () => {
    await split(0);
    expect(covered(await shards({ Type: 'AT_TRIM_HORIZON' }))).toEqual([idOf(0)]);
  });

  it.each([['AT_LATEST'], ['AT_TRIM_HORIZON']])(
    'over all pages of a listing of %s, though shards are split meanwhile',
    async (Type) => {
      const listing = { StreamName: 'paged', ShardFilter: { Type }, MaxResults: 1 };
      await rig.call('CreateStream', { StreamName: 'paged', ShardCount: 2 });
      const first = await rig.call('ListShards', listing);
      await rig.call('SplitShard', {
        StreamName: 'paged',
        ShardToSplit: idOf(0),
        NewStartingHashKey: (HALF / 2n).toString(),
      });
      await rig.call('SplitShard', {
        StreamName: 'paged',
        ShardToSplit: idOf(1),
        NewStartingHashKey: (HALF + HALF / 2n).toString(),
      });
      rig.passMs(1_000);
      const rest = await rig.call('ListShards', { NextToken: first['NextToken'] });
      expect(covered([first, rest].flatMap((page) => page['Shards'] as Listed[]))).toEqual([0, 1].map(idOf));
    },
  );

  it('at every moment around a split', async () => {
    rig.passMs(1_000);
    const atMs = rig.context.clock.wallMs();
    await split(0);
    rig.passMs(1_000);
    for (const ms of [-1, 0, 1, 2])
      covered(await shards({ Type: 'AT_TIMESTAMP', Timestamp: (atMs + ms) / 1_000 }));
  });

  it('at the oldest moment that is kept, when that is the one of a split', async () => {
    rig.passMs(1_000);
    const atMs = rig.context.clock.wallMs();
    await split(0);
    rig.passMs(24 * HOUR_MS);
    expect(rig.context.clock.wallMs() - 24 * HOUR_MS).toBe(atMs);
    covered(await shards({ Type: 'AT_TRIM_HORIZON' }));
  });
});
