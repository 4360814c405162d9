// Goal: shards follow the traffic: hot ones are split so that each half gets as much, cold ones are merged, the rest is
// left alone. Method: the catalog over the store in memory, traffic and time made by hand.
import { beforeEach, describe, expect, it } from 'vitest';
import { nodeDigest } from '../../runtime/digest.ts';
import type { KinesisContext } from '../../server/kinesis/context.ts';
import { shardLimits } from '../../server/kinesis/shard-limits.ts';
import { ShardMeters } from '../../server/kinesis/shard-meter.ts';
import { ShardPruner } from '../../server/kinesis/shard-pruner.ts';
import { SCALING_TAG, ShardScaler } from '../../server/kinesis/shard-scaler.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import type { MemoryStore } from '../../storage/memory/memory-store.ts';
import { hashKeyOf, hashTextOf, toHashText } from '../../stream/hash-range.ts';
import type { Log, LogFields } from '../../stream/ports.ts';
import { openShards, shardFor } from '../../stream/shard-map.ts';
import { kinesisContext } from '../kinesis-rig.ts';

let nowMs: number;
let context: KinesisContext;
let meters: ShardMeters;
let scaler: ShardScaler;
let store: MemoryStore;
let told: string[];
const clock = { wallMs: () => nowMs, monotonicUs: () => BigInt(nowMs) * 1_000n };

beforeEach(async () => {
  nowMs = 1_800_000_000_000;
  told = [];
  store = await openMemoryStore({ clock });
  context = await kinesisContext(store, clock);
  meters = new ShardMeters(shardLimits('off', {}), () => nowMs);
  const note = (event: string, _fields?: LogFields | (() => LogFields)): void => void told.push(event);
  const log: Log = { debug: note, info: note, notice: note, warn: note, error: note, child: () => log };
  scaler = new ShardScaler({ catalog: context.catalog, meters, now: () => nowMs, log });
});

/** So many seconds of records of 1 KiB, `perSecond` of each key. */
function write(stream: string, perSecond: Readonly<Record<string, number>>, seconds: number): void {
  const row = context.catalog.get(stream);
  for (let second = 0; second < seconds; second += 1) {
    nowMs += 1_000;
    for (const [key, count] of Object.entries(perSecond)) {
      const hashKey = hashKeyOf(key, nodeDigest);
      const meter = meters.of(row.id, shardFor(row.map, toHashText(hashKey)).index);
      meter.wrote(count, count * 1_024);
      for (let record = 0; record < count; record += 1) meter.keys.add(key, hashKey, meter.keys.due(1_024));
    }
  }
}

const many = (count: number, perSecond: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`key-${n}`, perSecond]));
const open = (stream: string): number => openShards(context.catalog.get(stream).map).length;

describe('a stream on demand', () => {
  it('gets shards where its traffic is, and keeps them while it lasts', async () => {
    await context.catalog.create('s', { mode: 'ON_DEMAND', shardCount: 4 });
    write('s', many(100, 40), 60);
    await scaler.look();
    expect(open('s')).toBe(8);
    expect(context.catalog.get('s').status).toBe('ACTIVE');
    write('s', many(100, 40), 60);
    await scaler.look();
    expect(open('s')).toBeGreaterThanOrEqual(8);
    expect(open('s')).toBeLessThanOrEqual(12);
  });

  it('goes back to four shards when it is quiet for long, not in a pause', async () => {
    await context.catalog.create('s', { mode: 'ON_DEMAND', shardCount: 4 });
    write('s', many(100, 40), 60);
    await scaler.look();
    nowMs += 5 * 60_000;
    await scaler.look();
    expect(open('s')).toBe(8);
    nowMs += 10 * 60_000;
    await scaler.look();
    expect(open('s')).toBe(8);
    nowMs += 5 * 60_000;
    await scaler.look();
    expect(open('s')).toBe(4);
    nowMs += 24 * 3_600_000;
    await scaler.look();
    expect(open('s')).toBe(4);
  });

  it('is split beside its hottest key, so that the others get room', async () => {
    await context.catalog.create('s', { mode: 'ON_DEMAND', shardCount: 4 });
    const [hot = ''] = Object.keys(many(1, 0));
    write('s', { ...many(400, 1), [hot]: 600 }, 60);
    await scaler.look();
    const row = context.catalog.get('s');
    const owner = shardFor(row.map, hashTextOf(hot, nodeDigest));
    const beside = Object.keys(many(400, 0)).filter(
      (key) => shardFor(row.map, hashTextOf(key, nodeDigest)) === owner,
    );
    // A quarter of the keys shared its shard.
    expect(beside.length).toBeLessThan(70);
  });

  it('is not split for one key alone, which its operator is told once', async () => {
    await context.catalog.create('s', { mode: 'ON_DEMAND', shardCount: 4 });
    write('s', { only: 900 }, 60);
    await scaler.look();
    await scaler.look();
    expect(open('s')).toBe(4);
    expect(told).toEqual([expect.stringContaining('one partition key alone')]);
  });
});

describe('a provisioned stream', () => {
  it('is left alone, unless its tag asks for it', async () => {
    await context.catalog.create('s', { mode: 'PROVISIONED', shardCount: 1 });
    write('s', many(100, 10), 60);
    await scaler.look();
    expect(open('s')).toBe(1);
    await context.catalog.update('s', (row) => ({ ...row, tags: { [SCALING_TAG]: 'on' } }));
    await scaler.look();
    expect(open('s')).toBe(2);
  });
});

describe('a closed shard', () => {
  const pruner = (): ShardPruner =>
    new ShardPruner({ catalog: context.catalog, log: store.log, clock, meters, now: () => nowMs });

  it('goes when its records have expired for an hour, from the log, too', async () => {
    await context.catalog.create('s', { mode: 'PROVISIONED', shardCount: 2 });
    const [lower, upper] = openShards(context.catalog.get('s').map);
    if (lower === undefined || upper === undefined) throw new Error('there are two shards');
    await context.catalog.reshard('s', () => [
      [{ kind: 'merge', shard: lower.index, adjacent: upper.index }],
    ]);
    const looks = pruner();
    nowMs += 24 * 3_600_000 - 1;
    await looks.look();
    nowMs += 2;
    await looks.look();
    nowMs += 3_599_000;
    await looks.look();
    expect(context.catalog.get('s').map.shards).toHaveLength(3);
    nowMs += 1_001;
    await looks.look();
    const row = context.catalog.get('s');
    expect(row.map.shards).toMatchObject([{ index: 2, parents: [0, 1] }]);
    await expect(
      store.log.bounds({ streamId: row.id, shardId: 'shardId-000000000000' }),
    ).rejects.toMatchObject({ code: 'SHARD_NOT_FOUND' });
  });
});
