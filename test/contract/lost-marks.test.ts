// Goal: a shard of which blocks were lost reads, seeks, counts and trims as if they had been passed over. Method: blocks
// taken out behind the store's back, the store salvaged; and the gateway's cuts over it.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cutByBytes, lastBefore, tailByBytes } from '../../gateway/lane-cut.ts';
import { LocalLane } from '../../gateway/local-lane.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { SMALL_COMMIT } from '../../storage/lmdb/commit-size.ts';
import { LmdbEngine } from '../../storage/lmdb/lmdb-engine.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { salvageStore } from '../../storage/salvage/salvage.ts';
import { blockKey } from '../../storage/shard-keys.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { AFTER_BLOCK_INDEX, START_POSITION, positionParts, toPosition } from '../../stream/position.ts';
import type { Store } from '../../stream/ports.ts';
import { blockOf, numberedRecords } from '../blocks.ts';
import { ManualClock, START_MS, block } from './engines.ts';

const LAYOUTS: readonly LmdbLayout[] = ['shared', 'perShard'];
const REF = { streamId: 'telemetry', shardId: 'normal' };
const BLOCKS = 20;
const PER_BLOCK = 3;
const ALL = { blocks: 1_000, bytes: 1e9 };

let folder = '';
let path = '';
let store: Store;
const clock = new ManualClock();
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-marks-'));
  path = join(folder, 'log.mdb');
  clock.ms = START_MS;
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

const commitsOf = async (from = START_POSITION): Promise<number[]> => {
  const { blocks } = await store.log.readBlocks(REF, from, ALL);
  return blocks.map(({ first }) => Number(positionParts(first).commit));
};

/** 20 blocks of 3 records, a second apart, of which those of `lost` are gone; salvaged and opened. */
async function openWithout(
  layout: LmdbLayout,
  lost: readonly number[],
  retentionMs = Infinity,
): Promise<void> {
  const sound = await openLmdbStore({ path, clock, layout });
  await sound.log.createShard(REF, { retentionMs });
  for (let index = 0; index < BLOCKS; index += 1) {
    clock.ms += 1_000;
    const firstOrdinal = BigInt(index * PER_BLOCK + 1);
    const input = { block: blockOf(numberedRecords(PER_BLOCK), { firstOrdinal }), recordCount: PER_BLOCK };
    await sound.log.append(REF, input);
  }
  await sound.close();
  const engine = new LmdbEngine(path);
  const table = engine.table(layout === 'shared' ? 'log' : 'log/1');
  await engine.transact(() => lost.map((commit) => table.remove(blockKey(1, BigInt(commit)))), SMALL_COMMIT);
  await engine.close();
  const target = join(folder, 'salvaged.mdb');
  const report = await salvageStore({ damagedPath: path, targetPath: target, layout, wallMs: clock.ms });
  expect(report.streams['telemetry']).toEqual({
    records: PER_BLOCK * (BLOCKS - lost.length),
    lostRecords: PER_BLOCK * lost.length,
  });
  expect(await verifyFolder(target)).toMatchObject({ ok: true, lostRecords: PER_BLOCK * lost.length });
  store = await openLmdbStore({ path: target, clock, layout });
}

describe.each(LAYOUTS)('a shard without the blocks 1, 8, 9, 10 and 15 (layout %s)', (layout) => {
  const lost = [1, 8, 9, 10, 15];
  const kept = Array.from({ length: BLOCKS }, (_, index) => index + 1).filter(
    (commit) => !lost.includes(commit),
  );

  it('is read past them from everywhere', async () => {
    await openWithout(layout, lost);
    expect(await commitsOf()).toEqual(kept);
    for (let commit = 1; commit <= BLOCKS; commit += 1) {
      const behind = kept.filter((candidate) => candidate >= commit);
      expect(await commitsOf(toPosition(1n, BigInt(commit), 0))).toEqual(behind);
      const after = kept.filter((candidate) => candidate > commit);
      expect(await commitsOf(toPosition(1n, BigInt(commit), AFTER_BLOCK_INDEX))).toEqual(after);
    }
    const page = await store.log.readBlocks(REF, toPosition(1n, 7n, 0), { blocks: 1, bytes: 1e9 });
    expect(page.next).toBe(toPosition(1n, 11n, 0));
    expect(page.nextArrivalMs).toBe(START_MS + 11_000);
  });

  it('counts what can be read, and seeks by ordinal and time', async () => {
    await openWithout(layout, lost);
    expect(await store.log.bounds(REF)).toMatchObject({
      first: toPosition(1n, 2n, 0),
      last: toPosition(1n, 20n, PER_BLOCK - 1),
      records: PER_BLOCK * kept.length,
      totalRecords: PER_BLOCK * BLOCKS,
      recordsBefore: 0,
      lostRecords: PER_BLOCK * lost.length,
    });
    for (let ordinal = 1; ordinal <= PER_BLOCK * BLOCKS; ordinal += 1) {
      const commit = Math.ceil(ordinal / PER_BLOCK);
      const at = await store.log.seekOrdinal(REF, BigInt(ordinal));
      const next = kept.find((candidate) => candidate >= commit);
      expect((await commitsOf(at))[0]).toBe(next);
      if (next === commit) expect(positionParts(at).index).toBe((ordinal - 1) % PER_BLOCK);
    }
    const time = await store.log.seekTime(REF, START_MS + 8_500);
    expect((await commitsOf(time))[0]).toBe(11);
  });

  it('goes on behind what was there, and survives a restart', async () => {
    await openWithout(layout, lost);
    const { first } = await store.log.append(REF, block(2));
    expect(positionParts(first).commit).toBe(21n);
    expect(positionParts(first).epoch).toBeGreaterThan(1n);
    await store.close();
    store = await openLmdbStore({ path: join(folder, 'salvaged.mdb'), clock, layout });
    expect(await commitsOf()).toEqual([...kept, 21]);
    expect(await store.log.bounds(REF)).toMatchObject({ totalRecords: 62, lostRecords: 15 });
  });

  it('is trimmed from in front of, within and behind them', async () => {
    await openWithout(layout, lost);
    for (const commit of [2, 7, 9, 10, 11, 15, 16, 20]) {
      await store.log.trim(REF, toPosition(1n, BigInt(commit), 0));
      await store.log.append(REF, block(1));
      const left = kept.filter((candidate) => candidate >= commit);
      expect((await commitsOf()).filter((candidate) => candidate <= BLOCKS)).toEqual(left);
      const { records, totalRecords } = await store.log.bounds(REF);
      expect(records).toBe(PER_BLOCK * left.length + totalRecords - PER_BLOCK * BLOCKS);
    }
    await store.close();
    expect(await verifyFolder(join(folder, 'salvaged.mdb'))).toMatchObject({ ok: true });
  });

  it('expires as it would have', async () => {
    await openWithout(layout, lost, 60_000);
    clock.ms = START_MS + 60_000 + 9_500;
    expect((await commitsOf())[0]).toBe(11);
    expect((await store.log.bounds(REF)).first).toBe(toPosition(1n, 11n, 0));
  });

  it('ends when it is closed, though its end is lost', async () => {
    await openWithout(layout, lost);
    await store.log.closeShard(REF);
    const page = await store.log.readBlocks(REF, toPosition(1n, 20n, 0), ALL);
    expect(page).toMatchObject({ closedEnd: true, nextArrivalMs: null });
  });
});

describe('the lane of a gateway', () => {
  it('is cut over what was lost, and tells of it when it is read', async () => {
    await openWithout('perShard', [1, 8, 9, 10, 15, 19]);
    const name = { stream: 'telemetry', class: 'normal', forward: true } as const;
    const lane = await LocalLane.open(name, { store, digest: nodeDigest, run: '00'.repeat(8) });
    expect(lane.firstKept).toBe(1n);
    await expect(lane.readBlock(1n)).rejects.toMatchObject({ details: { lastOrdinal: 3n } });
    await expect(lane.readBlock(23n)).rejects.toMatchObject({ details: { lastOrdinal: 30n } });
    expect(await lane.readBlock(31n)).not.toBe(null);
    expect(await lane.readBlock(61n)).toBe(null);
    for (let last = 1n; last <= 60n; last += 1n) {
      const cut = await cutByBytes(lane, store.log, Infinity, last);
      if (cut !== null) expect(cut.lastOrdinal).toBeLessThanOrEqual(last);
    }
    for (let bytes = 0; bytes < 5_000; bytes += 100) {
      const tail = await tailByBytes(lane, store.log, bytes);
      expect(tail).toBeGreaterThanOrEqual(1n);
      await cutByBytes(lane, store.log, bytes, 60n);
    }
    expect(await lastBefore(lane, store.log, START_MS + 8_500)).toBe(30n);
  });
});
