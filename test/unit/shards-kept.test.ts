// Goal: a stream whose closed shards have not expired yet is refused more splits before its row is larger than the store
// takes, and not when its shards are closed already; reading it is no dearer for them. Method: a row with as many shards as fit, over the store in memory.
import { beforeEach, expect, it, vi } from 'vitest';
import { encodeStreamRow } from '../../server/kinesis/stream-row.ts';
import type { StreamRow } from '../../server/kinesis/stream-row.ts';
import { META_VALUE_BYTES_MAX } from '../../stream/limits.ts';
import { HASH_KEY_MAX } from '../../stream/hash-range.ts';
import type { Shard } from '../../stream/shard-map.ts';
import { KinesisClient } from './kinesis-client.ts';

const StreamName = 's';
const HALF = 2n ** 127n;

let rig: KinesisClient;
beforeEach(async () => {
  rig = await KinesisClient.open();
  await rig.call('CreateStream', { StreamName, ShardCount: 1 });
});

/** The open shard comes last. */
async function holdShards(count: number): Promise<void> {
  const key = `stream/${StreamName}`;
  const { map, ...row } = rig.context.catalog.get(StreamName);
  const nowMs = rig.context.clock.wallMs();
  const shardOf = (index: number): Shard => ({
    index,
    range: { start: 0n, end: HASH_KEY_MAX },
    parents: index === 0 ? [] : [index - 1],
    createdAtMs: nowMs,
    closedAtMs: index === count - 1 ? null : nowMs + 1,
  });
  const shards = Array.from({ length: count }, (_, index) => shardOf(index));
  const next: StreamRow = { ...row, map: { ...map, nextIndex: count, shards } };
  const open = { streamId: row.id, shardId: `shardId-${String(count - 1).padStart(12, '0')}` };
  await rig.store.log.createShard(open, { retentionMs: Infinity });
  await rig.store.meta.put(key, encodeStreamRow(next), 'any');
  await rig.restart();
}

const split = (index: number, at = HALF) =>
  rig.refusal('SplitShard', { StreamName, ShardToSplit: String(index), NewStartingHashKey: at.toString() });
const put = () => rig.call('PutRecord', { StreamName, PartitionKey: 'k', Data: 'AAAA' });

it('a stream with more shards than its row has room for is not split, and goes on taking records', async () => {
  const bytesOf = async (count: number) => {
    await holdShards(count);
    return encodeStreamRow(rig.context.catalog.get(StreamName)).length;
  };
  const few = await bytesOf(20_000);
  const each = ((await bytesOf(20_100)) - few) / 100;
  const count = 20_000 + Math.floor((META_VALUE_BYTES_MAX - 120 - few) / each);
  await holdShards(count);
  expect(await split(count - 1)).toMatch(/^LimitExceededException: Stream s .* 30000/);
  await put();
});

it('a stream is split up to the last shard that it may have', async () => {
  await holdShards(29_998);
  expect(await split(29_997)).toBe('it succeeded');
  expect(await split(29_998, HALF / 2n)).toMatch(/^LimitExceededException/);
  expect(encodeStreamRow(rig.context.catalog.get(StreamName)).length).toBeLessThan(META_VALUE_BYTES_MAX);
  await put();
});

it('whoever reads or subscribes to one shard does not look at all others', async () => {
  const count = 20_000;
  await holdShards(count);
  const { catalog } = rig.context;
  const row = catalog.get(StreamName);
  let looks = 0;
  const shards = new Proxy(row.map.shards, {
    get: (target, name, receiver) => {
      if (typeof name === 'string' && /^\d+$/.test(name)) looks += 1;
      return Reflect.get(target, name, receiver) as unknown;
    },
  });
  const seen = { ...row, map: { ...row.map, shards } };
  vi.spyOn(catalog, 'get').mockReturnValue(seen);
  vi.spyOn(catalog, 'byId').mockReturnValue(seen);
  const start = { StreamName, ShardId: String(count - 1), ShardIteratorType: 'TRIM_HORIZON' };
  await rig.call('GetRecords', await rig.call('GetShardIterator', start));
  expect(looks).toBeLessThan(100);
});
