// Goal: a lane finds its stream and shard whatever happens to the stream. Method: the catalog and the ingest over the
// store in memory, blocks made by hand.
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { nodeDigest } from '../../runtime/digest.ts';
import { LaneQuota, NEW_LANES_MAX } from '../../server/fleet/lane-quota.ts';
import type { CatalogLimits } from '../../server/kinesis/account-limits.ts';
import { openTraffic } from '../../server/kinesis/traffic.ts';
import { MetricsRegistry } from '../../runtime/metrics.ts';
import { kinesisError } from '../../server/kinesis/errors.ts';
import { shardLimits } from '../../server/kinesis/shard-limits.ts';
import { ShardMeters } from '../../server/kinesis/shard-meter.ts';
import { StateDelay } from '../../server/kinesis/state-delay.ts';
import { StreamCatalog } from '../../server/kinesis/stream-catalog.ts';
import { shardRef } from '../../server/kinesis/stream-row.ts';
import { STREAMS_MADE_MAX, StreamIngest } from '../../server/stream-ingest.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import type { MemoryStore } from '../../storage/memory/memory-store.ts';
import { silent } from '../kinesis-rig.ts';
import { blockOf, numberedRecords } from '../blocks.ts';

const clock = { wallMs: () => 1_800_000_000_000, monotonicUs: () => 0n };
const account = { accountId: '000000000000', region: 'us-east-1' };
const parts = {
  clock,
  account,
  digest: nodeDigest,
  limits: { shardsMax: 10, onDemandStreamsMax: 1, streamsCreatingMax: 5 },
  delay: new StateDelay(0, silent),
};
const tag = Buffer.from('tag');

let store: MemoryStore;
let catalog: StreamCatalog;
let ingest: StreamIngest;
let nowMs = 0;
const meters = new ShardMeters(shardLimits('off', {}), () => nowMs);
let quota = new LaneQuota(() => nowMs);

async function open(more: Partial<CatalogLimits> = {}): Promise<void> {
  const limits = { ...parts.limits, ...more };
  catalog = await StreamCatalog.open({ ...parts, store, limits });
  ingest = new StreamIngest({
    catalog,
    log: store.log,
    digest: nodeDigest,
    quota,
    meters,
    traffic: openTraffic(new MetricsRegistry()),
  });
}

beforeEach(async () => {
  nowMs = 0;
  quota = new LaneQuota(() => nowMs);
  store = await openMemoryStore({ clock });
  await open();
});

const offer = (first: number, last: number) => ({ first: BigInt(first), last: BigInt(last), tag });
const block = (first: number, last: number) =>
  blockOf(numberedRecords(last - first + 1), { firstOrdinal: BigInt(first) });

describe('a lane', () => {
  it('makes its stream with one shard, once for all who ask together', async () => {
    const lanes = await Promise.all(['a', 'b', 'c', 'd'].map((lane) => ingest.openLane('telemetry', lane)));
    expect(catalog.list()).toMatchObject([{ name: 'telemetry', status: 'ACTIVE', mode: 'PROVISIONED' }]);
    const results = await Promise.all(lanes.map((lane) => lane.append(block(1, 3), 3, offer(1, 3))));
    expect(new Set(results.map(({ first }) => first)).size).toBe(4);
    const [row] = catalog.list();
    if (row === undefined) throw new Error('there is a stream');
    expect(row.map.shards).toHaveLength(1);
    const [shard] = row.map.shards;
    if (shard === undefined) throw new Error('there is a shard');
    expect((await store.log.bounds(shardRef(row, shard))).records).toBe(12);
  });

  it('takes known ordinals again without storing them, and refuses a gap', async () => {
    const lane = await ingest.openLane('telemetry', 'a');
    expect(await lane.state()).toBeNull();
    await lane.append(block(1, 3), 3, offer(1, 3));
    expect(await lane.append(block(1, 3), 3, offer(1, 3))).toMatchObject({ duplicate: true });
    await expect(lane.append(block(5, 6), 2, offer(5, 6))).rejects.toMatchObject({
      code: 'LANE_GAP',
      details: { have: 3n },
    });
    expect(await lane.state()).toMatchObject({ last: 3n });
  });

  it('is told to try again when the key of its stream cannot be used', async () => {
    const lane = await ingest.openLane('telemetry', 'a');
    const error = kinesisError('KMSDisabledException', 'key is disabled.');
    vi.spyOn(store.log, 'append').mockRejectedValueOnce(error);
    await expect(lane.append(block(1, 3), 3, offer(1, 3))).rejects.toMatchObject({
      code: 'BUSY',
      message: 'records of stream telemetry cannot be stored now: key is disabled.',
    });
    await lane.append(block(1, 3), 3, offer(1, 3));
  });

  it('follows a stream that was deleted and made again, and starts from nothing there', async () => {
    const lane = await ingest.openLane('telemetry', 'a');
    await lane.append(block(1, 3), 3, offer(1, 3));
    await catalog.delete('telemetry');
    await expect(lane.append(block(4, 5), 2, offer(4, 5))).rejects.toMatchObject({
      code: 'LANE_GAP',
      details: { have: 0n },
    });
    expect(await lane.state()).toBeNull();
    await lane.append(block(1, 3), 3, offer(1, 3));
    expect(catalog.list()).toHaveLength(1);
  });

  it('of many lanes on a stream with many shards always goes to the same one', async () => {
    await catalog.create('wide', { mode: 'PROVISIONED', shardCount: 4 });
    const firsts = Array.from({ length: 32 }, (_, n) => `lane-${n}`);
    for (const name of firsts)
      await (await ingest.openLane('wide', name)).append(block(1, 1), 1, offer(1, 1));
    for (const name of firsts)
      expect(await (await ingest.openLane('wide', name)).state(), name).toMatchObject({ last: 1n });
    const row = catalog.get('wide');
    const counts = await Promise.all(
      row.map.shards.map(async (shard) => (await store.log.bounds(shardRef(row, shard))).records),
    );
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(32);
    expect(counts.every((count) => count > 0)).toBe(true);
  });

  it('waits with a retryable error when no more shards may be made', async () => {
    await open({ shardsMax: 0, onDemandStreamsMax: 0 });
    await expect(ingest.openLane('telemetry', 'a')).rejects.toMatchObject({ code: 'BUSY', retryable: true });
  });
});

describe('a gateway', () => {
  const roomy = { shardsMax: 10_000, onDemandStreamsMax: 1 };
  const busy = (text: string) => ({ code: 'BUSY', message: expect.stringContaining(text) as unknown });

  it('makes so many streams and no more, also after a restart; what others made it may feed', async () => {
    await open(roomy);
    for (let n = 0; n < STREAMS_MADE_MAX; n += 1) await ingest.openLane(`s${n}`, 'gw-1/lane');
    await expect(ingest.openLane('one-more', 'gw-1/lane')).rejects.toMatchObject(
      busy('has made 256 streams'),
    );
    await ingest.openLane('s0', 'gw-1/other');
    await ingest.openLane('of-another', 'gw-2/lane');
    await ingest.openLane('of-another', 'gw-1/lane');
    await open(roomy);
    await expect(ingest.openLane('one-more', 'gw-1/lane')).rejects.toMatchObject(busy('gw-1'));
    await catalog.delete('s0');
    await ingest.openLane('one-more', 'gw-1/lane');
  });

  it('begins so many lanes within a day; what it has goes on', async () => {
    const old = await ingest.openLane('telemetry', 'gw-1/old');
    await old.append(block(1, 1), 1, offer(1, 1));
    const early = await ingest.openLane('telemetry', 'gw-1/early');
    for (let n = 1; n < NEW_LANES_MAX; n += 1) quota.add('gw-1');
    // Opened while there was room, but others were faster.
    await expect(early.append(block(1, 1), 1, offer(1, 1))).rejects.toMatchObject(busy('4096 lanes'));
    await expect(ingest.openLane('telemetry', 'gw-1/new')).rejects.toMatchObject(busy('gw-1'));
    await (await ingest.openLane('telemetry', 'gw-1/old')).append(block(2, 2), 1, offer(2, 2));
    const others = await ingest.openLane('telemetry', 'gw-2/new');
    await others.append(block(1, 1), 1, offer(1, 1));
    nowMs += 24 * 3_600_000;
    const late = await ingest.openLane('telemetry', 'gw-1/new');
    await late.append(block(1, 1), 1, offer(1, 1));
  });

  it('is not charged for a lane that the disk did not take', async () => {
    const lane = await ingest.openLane('telemetry', 'gw-1/a');
    for (let n = 1; n < NEW_LANES_MAX; n += 1) quota.add('gw-1');
    store.failNext('ENOSPC');
    await expect(lane.append(block(1, 1), 1, offer(1, 1))).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await lane.append(block(1, 1), 1, offer(1, 1));
    await lane.append(block(2, 2), 1, offer(2, 2));
  });
});

describe('a creation that a full disk cut short', () => {
  it('is finished by the next one who asks', async () => {
    store.failNext('ENOSPC');
    await expect(ingest.openLane('telemetry', 'a')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    const lane = await ingest.openLane('telemetry', 'a');
    await lane.append(block(1, 2), 2, offer(1, 2));
    expect(catalog.get('telemetry').status).toBe('ACTIVE');
  });

  it('also when the row was durable and the shards were not', async () => {
    let puts = 0;
    const { meta } = store;
    const failing = {
      ...store,
      meta: Object.assign(Object.create(meta) as typeof meta, {
        list: (prefix: string) => meta.list(prefix),
        put: async (key: string, value: Uint8Array, expected: 'absent' | 'any' | bigint) => {
          const revision = await meta.put(key, value, expected);
          puts += 1;
          if (puts === 1) store.failNext('ENOSPC');
          return revision;
        },
      }),
    };
    const cut = await StreamCatalog.open({ ...parts, store: failing });
    await expect(cut.create('s', { mode: 'PROVISIONED', shardCount: 2 })).rejects.toMatchObject({
      code: 'STORAGE_FULL',
    });
    expect(cut.get('s').status).toBe('CREATING');
    expect(() => cut.active('s')).toThrow(expect.objectContaining({ type: 'ResourceNotFoundException' }));
    const options = { mode: 'PROVISIONED', shardCount: 2 } as const;
    expect(await cut.ensure('s', options)).toMatchObject({ status: 'ACTIVE' });
    // So does a start.
    await open();
    expect(catalog.active('s').status).toBe('ACTIVE');
  });
});

describe('limits', () => {
  it('hold for creations that come together', async () => {
    await open({ shardsMax: 5, onDemandStreamsMax: 1 });
    const made = await Promise.allSettled(
      ['a', 'b', 'c'].map((name) => catalog.create(name, { mode: 'PROVISIONED', shardCount: 2 })),
    );
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(2);
    const modes = await Promise.allSettled(
      ['x', 'y'].map((name) => catalog.create(name, { mode: 'ON_DEMAND', shardCount: 1 })),
    );
    expect(modes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  });

  it('of one name: the second creation and a deletion meanwhile are told the state', async () => {
    const both = await Promise.allSettled([
      catalog.create('same', { mode: 'PROVISIONED', shardCount: 1 }),
      catalog.create('same', { mode: 'PROVISIONED', shardCount: 1 }),
    ]);
    expect(both[1]).toMatchObject({ status: 'rejected', reason: { type: 'ResourceInUseException' } });
    const deletions = await Promise.allSettled([catalog.delete('same'), catalog.delete('same')]);
    expect(deletions[1]).toMatchObject({ status: 'rejected', reason: { type: 'ResourceInUseException' } });
    expect(catalog.list()).toEqual([]);
  });
});
