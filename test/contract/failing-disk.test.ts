// Goal: a commit that fails changes nothing and says so to everybody who waited for it; a full disk is survived, a failed
// one is not trusted again. Method: a fake disk under the real logic; the model's injected failures beside it.
import { describe, expect, it } from 'vitest';
import { toPosition } from '../../stream/position.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import { ManualClock, REF, allBlocks, block, bytes, hex, laneBlock, outcome, text } from './engines.ts';
import { openFakeStore } from './fake-disk.ts';

const FOREVER = { retentionMs: Infinity };

async function withShard(options = {}) {
  const clock = new ManualClock();
  const store = openFakeStore(clock, options);
  await store.log.createShard(REF, FOREVER);
  return { ...store, clock };
}

describe('a full disk', () => {
  it('refuses everything that waited, changes nothing, and accepts again', async () => {
    const { disk, log, meta } = await withShard();
    await log.append(REF, laneBlock('l', 1n, 2n));
    const before = await log.bounds(REF);
    disk.failNext('STORAGE_FULL');
    const other = { ...REF, shardId: 'other' };
    const answers = await Promise.all(
      [
        log.append(REF, { ...laneBlock('l', 3n, 3n), with: [{ key: 'k', value: bytes('v') }] }),
        log.append(REF, laneBlock('l', 4n, 4n)),
        meta.put('m', bytes('v'), 'absent'),
        log.createShard(other, FOREVER),
        log.closeShard(REF),
        // What this says of the lane is not true any more when the commit has failed.
        log.append(REF, laneBlock('l', 4n, 5n)),
      ].map((call) => outcome<unknown>(call)),
    );
    expect(new Set(answers)).toEqual(new Set(['STORAGE_FULL']));
    expect(await log.bounds(REF)).toEqual(before);
    expect(await meta.get('k')).toBeNull();
    expect(await meta.get('m')).toBeNull();
    expect(await outcome(log.bounds(other))).toBe('SHARD_NOT_FOUND');
    const { first } = await log.append(REF, laneBlock('l', 3n, 3n));
    expect(first).toBe(toPosition(1n, 2n, 0));
    expect(await meta.put('m', bytes('v'), 'absent')).toBe(1n);
    await log.createShard(other, FOREVER);
    expect(await log.bounds(other)).toMatchObject({ closed: false });
  });

  it('keeps a shard that could not be dropped, and drops it later', async () => {
    const { disk, log } = await withShard();
    await log.append(REF, block());
    disk.failNext('STORAGE_FULL');
    const answers = await Promise.all([outcome(log.dropShard(REF)), outcome(log.createShard(REF, FOREVER))]);
    expect(answers).toEqual(['STORAGE_FULL', 'STORAGE_FULL']);
    expect(await allBlocks(log, REF)).toHaveLength(1);
    await log.dropShard(REF);
    expect(await outcome(log.bounds(REF))).toBe('SHARD_NOT_FOUND');
  });

  it('keeps lazy values and trims until a commit takes them, and tries them without what found no room', async () => {
    const { disk, log, meta } = await withShard();
    for (let index = 0; index < 3; index += 1) await log.append(REF, block(1, `${index}`));
    meta.putLazy('k', bytes('lazy'));
    await log.trim(REF, toPosition(1n, 3n, 0));
    disk.commits.length = 0;
    const release = disk.hold();
    disk.failNext('STORAGE_FULL');
    const refused = outcome(meta.put('m', bytes(''), 'any'));
    await new Promise(setImmediate);
    const later = meta.put('later', bytes(''), 'any');
    expect(text((await meta.get('k'))?.value)).toBe('lazy');
    expect(await allBlocks(log, REF)).toEqual([hex(block(1, '2').block)]);
    release();
    expect(await refused).toBe('STORAGE_FULL');
    await later;
    // Two blocks and the shard's row; then what waited, with k and the revision.
    expect(disk.commits).toEqual([3, 3]);
    expect(await allBlocks(log, REF)).toEqual([hex(block(1, '2').block)]);
  });

  it('does not try lazy changes for ever', async () => {
    const { disk, log, meta } = await withShard();
    await log.append(REF, block());
    disk.commits.length = 0;
    disk.failNext('STORAGE_FULL', 2);
    meta.putLazy('k', bytes('lazy'));
    await log.trim(REF, toPosition(1n, 2n, 0));
    expect(await outcome(meta.put('m', bytes(''), 'any'))).toBe('STORAGE_FULL');
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    expect(disk.commits).toEqual([]);
    await meta.put('m', bytes(''), 'any');
    expect(disk.commits).toEqual([5]);
  });

  it('holds one lazy change of a key, and one trim of a shard, however many there were', async () => {
    const { committer, disk, log, meta } = await withShard();
    for (let index = 0; index < 60; index += 1) await log.append(REF, block(1, `${index}`));
    disk.failNext('STORAGE_FULL', Infinity);
    for (let index = 0; index < 50; index += 1) {
      meta.putLazy('k', bytes(`${index}`));
      await log.trim(REF, toPosition(1n, BigInt(index + 2), 0));
      if (index % 10 === 0) await outcome(meta.put('m', bytes(''), 'any'));
    }
    expect(committer.staged).toBe(2);
    disk.failNext('STORAGE_FULL', 0);
    await meta.put('m', bytes(''), 'any');
    expect(committer.staged).toBe(0);
    expect(text((await meta.get('k'))?.value)).toBe('49');
    expect(await allBlocks(log, REF)).toHaveLength(10);
  });

  it('tries lazy changes again by itself', async () => {
    const { disk, meta } = await withShard({ lazyMs: 1 });
    disk.commits.length = 0;
    disk.failNext('STORAGE_FULL');
    meta.putLazy('k', bytes('lazy'));
    while (disk.commits.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(disk.commits).toEqual([2]);
  });
});

describe('a failed disk', () => {
  it('refuses what waits behind the failed commit, and everything after it', async () => {
    const { disk, log, meta } = await withShard();
    const release = disk.hold();
    disk.failNext('STORAGE_FAILED');
    const first = outcome(log.append(REF, block()));
    await new Promise(setImmediate);
    const second = outcome(log.append(REF, block()));
    release();
    expect([await first, await second]).toEqual(['STORAGE_FAILED', 'STORAGE_FAILED']);
    expect(await outcome(meta.put('k', bytes(''), 'any'))).toBe('STORAGE_FAILED');
    expect(await allBlocks(log, REF)).toEqual([]);
  });

  it('gives up on a commit that never ends, and closes', async () => {
    const { committer, disk, log } = await withShard({ commitMsMax: 10 });
    disk.hangNext();
    const answers = Promise.all([outcome(log.append(REF, block())), outcome(log.append(REF, block()))]);
    expect(await answers).toEqual(['STORAGE_FAILED', 'STORAGE_FAILED']);
    expect(await outcome(log.append(REF, block()))).toBe('STORAGE_FAILED');
    await committer.close();
  });
});

describe('one commit', () => {
  it('takes everything that was asked for in one turn, and what waited meanwhile', async () => {
    const { disk, log, meta } = await withShard();
    disk.commits.length = 0;
    const release = disk.hold();
    const first = log.append(REF, block());
    await new Promise(setImmediate);
    const other = { ...REF, shardId: 'other' };
    const rest = [
      log.createShard(other, FOREVER),
      ...Array.from({ length: 10 }, () => log.append(REF, block())),
      log.append(other, block()),
      meta.put('k', bytes(''), 'any'),
    ];
    await new Promise(setImmediate);
    release();
    await Promise.all([first, ...rest]);
    expect(disk.commits).toHaveLength(2);
  });

  it('reports nothing before it is durable, not even a refusal', async () => {
    const { disk, log, meta } = await withShard();
    const release = disk.hold();
    const reported: string[] = [];
    const calls = [
      outcome(log.append(REF, laneBlock('l', 1n, 1n))).then(() => reported.push('stored')),
      outcome(log.append(REF, laneBlock('l', 1n, 1n))).then(() => reported.push('duplicate')),
      outcome(log.append(REF, laneBlock('l', 1n, 2n))).then((answer) => reported.push(`${answer as string}`)),
      outcome(meta.put('k', bytes(''), 1n)).then((answer) => reported.push(`${answer}`)),
    ];
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    expect(reported).toEqual([]);
    expect(await log.lane(REF, 'l')).toBeNull();
    release();
    await Promise.all(calls);
    expect(reported).toEqual(['stored', 'duplicate', 'LANE_OVERLAP', 'META_CONFLICT']);
  });
});

describe('a reader beside a commit', () => {
  it('does not see again what was trimmed while an append was under way', async () => {
    const { disk, log } = await withShard();
    for (let index = 0; index < 3; index += 1) await log.append(REF, block(1, `${index}`));
    const release = disk.hold();
    const appending = log.append(REF, block(1, '3'));
    await new Promise(setImmediate);
    await log.trim(REF, toPosition(1n, 3n, 0));
    release();
    await appending;
    expect(await allBlocks(log, REF)).toEqual(['2', '3'].map((name) => hex(block(1, name).block)));
  });

  it('does not look for what a commit has deleted and not yet reported', async () => {
    const { clock, disk, log } = await withShard();
    await log.setRetention(REF, 1_000);
    await log.append(REF, block(1, 'old'));
    clock.ms += 2_000;
    const release = disk.hold('behind');
    const appending = log.append(REF, block(1, 'new'));
    await new Promise(setImmediate);
    clock.ms -= 2_000;
    expect(await allBlocks(log, REF)).toEqual([]);
    release();
    await appending;
    expect(await allBlocks(log, REF)).toEqual([hex(block(1, 'new').block)]);
  });
});

describe('the model', () => {
  it('fails as it is told', async () => {
    const store = await openMemoryStore({ clock: new ManualClock() });
    await store.log.createShard(REF, FOREVER);
    store.failNext('ENOSPC');
    expect(await outcome(store.log.append(REF, block()))).toBe('STORAGE_FULL');
    await store.log.append(REF, block());
    store.failNext('EIO');
    expect(await outcome(store.meta.put('k', bytes(''), 'any'))).toBe('STORAGE_FAILED');
    expect(await outcome(store.log.append(REF, block()))).toBe('STORAGE_FAILED');
    expect(await allBlocks(store.log, REF)).toHaveLength(1);
  });
});
