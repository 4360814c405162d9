// Goal: no position is given twice, whatever was restored, and the positions of what is there stay what they were.
// Method: real files, copied as an operator would.
import { copyFileSync, existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { isSameFile } from '../../storage/lmdb/store-format.ts';
import { readMeta } from '../../storage/seal/read-meta.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { TributaryError } from '../../stream/errors.ts';
import { START_POSITION, positionParts, toPosition } from '../../stream/position.ts';
import type { Store } from '../../stream/ports.ts';
import { DURABLE_ENGINES, REF, allBlocks, benches, block, hex } from './engines.ts';

const SHARED = DURABLE_ENGINES.filter(({ name }) => name === 'lmdb shared');
const RESTORES = 20;
const open: Store[] = [];
const refuse = (): Promise<void> => Promise.reject(new TributaryError('BUSY', 'a key service is away'));
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
});

describe.each(SHARED)('$name: a restored store', (engine) => {
  const bench = benches(engine);

  it('goes on in a new epoch; old positions stay valid', async () => {
    const first = bench();
    const store = await first.open();
    await store.log.createShard(REF, { retentionMs: Infinity });
    for (let index = 0; index < 3; index += 1) await store.log.append(REF, block(4, `${index}`));
    const kept = await allBlocks(store.log, REF);
    await store.close();
    copyFileSync(first.path, `${first.path}.backup`);
    const original = await first.open();
    const lost = await original.log.append(REF, block(4, 'lost'));
    await original.close();
    const positions = [lost.first];
    for (let restore = 0; restore < 2; restore += 1) {
      first.clock.ms += 1_000;
      rmSync(first.path);
      copyFileSync(`${first.path}.backup`, `${first.path}.copy`);
      renameSync(`${first.path}.copy`, first.path);
      const restored = await first.open();
      expect(await allBlocks(restored.log, REF)).toEqual(kept);
      expect(await allBlocks(restored.log, REF, toPosition(1n, 2n, 0))).toEqual(kept.slice(1));
      const { first: position } = await restored.log.append(REF, block(4, `after ${restore}`));
      positions.push(position);
      const written = hex(block(4, `after ${restore}`).block);
      // What the original gave out since is behind the cut: reading goes on with what came instead.
      expect(await allBlocks(restored.log, REF, lost.first)).toEqual([written]);
      expect(await allBlocks(restored.log, REF, toPosition(1n, 3n, 0xffff))).toEqual([written]);
      expect((await restored.log.bounds(REF)).first).toBe(toPosition(1n, 1n, 0));
      await restored.close();
      expect(await verifyFolder(first.folder)).toMatchObject({ ok: true });
    }
    expect(new Set(positions).size).toBe(3);
    expect(positions.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(positions);
  });

  it('gives new shards the epoch, too', async () => {
    const first = bench();
    const store = await first.open();
    await store.log.createShard(REF, { retentionMs: Infinity });
    const { first: before } = await store.log.append(REF, block());
    await store.close();
    copyFileSync(first.path, `${first.path}.copy`);
    renameSync(`${first.path}.copy`, first.path);
    const restored = await first.open();
    const child = { streamId: REF.streamId, shardId: 'child' };
    await restored.log.createShard(child, { retentionMs: Infinity, after: before });
    const { first: position } = await restored.log.append(child, block());
    expect(positionParts(position).epoch).toBeGreaterThan(1n);
  });

  it('is known though it was copied over the file that was there', async () => {
    const first = bench();
    const store = await first.open();
    await store.log.createShard(REF, { retentionMs: Infinity });
    await store.close();
    copyFileSync(first.path, `${first.path}.backup`);
    const original = await first.open();
    const { first: given } = await original.log.append(REF, block());
    await original.close();
    copyFileSync(`${first.path}.backup`, first.path);
    const restored = await first.open();
    const { first: position } = await restored.log.append(REF, block());
    expect(position).not.toBe(given);
    expect(positionParts(position).epoch).toBeGreaterThan(1n);
  });

  it('is known though its folder was removed and the backup got the same place on the disk', async () => {
    const first = bench();
    const store = await first.open();
    await store.log.createShard(REF, { retentionMs: Infinity });
    await store.close();
    const backup = `${first.path}.backup`;
    copyFileSync(first.path, backup);
    const { ino } = statSync(first.path);
    const original = await first.open();
    const { first: given } = await original.log.append(REF, block());
    await original.close();
    for (let attempt = 0; attempt < RESTORES; attempt += 1) {
      rmSync(first.path);
      rmSync(`${first.path}-lock`);
      copyFileSync(backup, first.path);
      if (statSync(first.path).ino === ino) break;
    }
    const restored = await first.open();
    const { first: position } = await restored.log.append(REF, block());
    expect(position).not.toBe(given);
    expect(positionParts(position).epoch).toBeGreaterThan(1n);
  });

  it.each([
    ['was verified first', (path: string) => verifyFolder(path)],
    ['was read first', (path: string) => readMeta(path, 'keys/')],
    [
      'was refused first',
      (path: string) => openLmdbStore({ path, clock: bench().clock, admit: refuse }).catch(() => 'refused'),
    ],
  ])('is known though it was copied over the file that was there and %s', async (_what, look) => {
    const first = bench();
    const store = await first.open();
    await store.log.createShard(REF, { retentionMs: Infinity });
    await store.close();
    copyFileSync(first.path, `${first.path}.backup`);
    const original = await first.open();
    const { first: given } = await original.log.append(REF, block());
    await original.close();
    copyFileSync(`${first.path}.backup`, first.path);
    await look(first.path);
    await look(first.path);
    const restored = await first.open();
    const { first: position } = await restored.log.append(REF, block());
    expect(position).not.toBe(given);
    expect(positionParts(position).epoch).toBeGreaterThan(1n);
    await restored.close();
    // Once is enough.
    expect(existsSync(`${first.path}.went-back`)).toBe(false);
    await look(first.path);
    const again = await first.open();
    const { first: next } = await again.log.append(REF, block());
    expect(positionParts(next).epoch).toBe(positionParts(position).epoch);
  });

  it('is none when it was only moved', async () => {
    const first = bench();
    const store = await first.open();
    await store.log.createShard(REF, { retentionMs: Infinity });
    await store.close();
    const moved = `${first.folder}/moved.mdb`;
    renameSync(first.path, moved);
    const opened = await openLmdbStore({ path: moved, clock: first.clock, layout: 'shared' });
    open.push(opened);
    const { first: position } = await opened.log.append(REF, block());
    expect(position).toBe(toPosition(1n, 1n, 0));
    expect(await allBlocks(opened.log, REF, START_POSITION)).toHaveLength(1);
  });
});

describe('a store file', () => {
  const born = { ino: 7n, birthtimeNs: 100n, ctimeNs: 200n };

  it.each([
    ['the one it was', '7:100', born, true],
    ['another one', '8:100', born, false],
    ['another one in the same place', '7:99', born, false],
    ['the one that an earlier program has noted', '7', born, true],
    ['another one than an earlier program has noted', '8', born, false],
    ['the one it was, where births are not known', '7:100', { ...born, birthtimeNs: 0n }, true],
    ['the one it was, where a birth is the last change', '7:100', { ...born, birthtimeNs: 200n }, true],
  ])('is %s', (_what, stored, status, isSame) => {
    expect(isSameFile(stored, status)).toBe(isSame);
  });
});
