// Goal: what the embedded engine promises the logic above: one transaction for a turn, copies for readers, one owner.
// Method: real files; the number of LMDB's last transaction counts commits.
import { fork } from 'node:child_process';
import { copyFileSync, linkSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { open } from 'lmdb';
import { START_POSITION } from '../../stream/position.ts';
import { SMALL_COMMIT } from '../../storage/lmdb/commit-size.ts';
import { TABLES_MAX, LmdbEngine } from '../../storage/lmdb/lmdb-engine.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { ManualClock, allBlocks, block, bytes, hex, outcome, text } from './engines.ts';

const FOREVER = { retentionMs: Infinity };
const LAYOUTS: readonly LmdbLayout[] = ['shared', 'perShard'];

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-engine-'));
  path = join(folder, 'log.mdb');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const refsOf = (count: number) =>
  Array.from({ length: count }, (_, index) => ({ streamId: 's', shardId: `${index}` }));

describe.each(LAYOUTS)('a store with layout %s', (layout) => {
  const openStore = () => openLmdbStore({ path, clock: new ManualClock(), layout });

  it('commits appends of one turn to many shards, with their side writes, in one transaction', async () => {
    const store = await openStore();
    const refs = refsOf(5);
    await Promise.all(refs.map((ref) => store.log.createShard(ref, FOREVER)));
    const reader = open({ path, readOnly: true, noSubdir: true, maxDbs: TABLES_MAX });
    const transactions = () => {
      reader.resetReadTxn();
      return (reader.getStats() as { lastTxnId: number }).lastTxnId;
    };
    const before = transactions();
    // More than the library hands over to its writer before the turn is over.
    const many = Array.from({ length: 2_000 }, (_, index) =>
      store.log.append(refs[index % 5] ?? { streamId: '', shardId: '' }, {
        ...block(1, `${index}`),
        with: [{ key: `k${index}`, value: bytes(`${index}`) }],
      }),
    );
    await Promise.all([...many, store.meta.put('k', bytes('v'), 'absent')]);
    expect(transactions() - before).toBe(1);
    await store.log.append(refs[0] ?? { streamId: '', shardId: '' }, block());
    expect(transactions() - before).toBe(2);
    for (const ref of refs)
      expect(await store.log.bounds(ref)).toMatchObject({ totalRecords: expect.any(Number) });
    await store.close();
  });

  it('gives readers copies, whatever their size: later commits do not reach into them', async () => {
    const store = await openStore();
    const sizes = [10, 3_000, 40_000, 1_000_000, 7_000_000];
    for (const size of sizes) await store.meta.put(`k${size}`, new Uint8Array(size).fill(1), 'any');
    const kept = await Promise.all(sizes.map((size) => store.meta.get(`k${size}`)));
    for (const fill of [2, 3, 4]) {
      for (const size of sizes) await store.meta.put(`k${size}`, new Uint8Array(size).fill(fill), 'any');
    }
    for (const [index, entry] of kept.entries()) {
      expect(Buffer.compare(entry?.value ?? bytes(''), new Uint8Array(sizes[index] ?? 0).fill(1))).toBe(0);
    }
    await store.close();
  });

  it('drops the blocks of a dropped shard, and uses their room again', async () => {
    const store = await openStore();
    const [kept, dropped] = refsOf(2);
    if (kept === undefined || dropped === undefined) throw new Error('two shards');
    for (const ref of [kept, dropped]) await store.log.createShard(ref, FOREVER);
    await store.log.append(kept, block(1, 'kept'));
    const fill = () =>
      Promise.all(Array.from({ length: 500 }, () => store.log.append(dropped, block(1, 'x'.repeat(10_000)))));
    await fill();
    const full = store.usage();
    await store.log.dropShard(dropped);
    expect(store.usage().liveBytes).toBeLessThan(full.liveBytes / 10);
    expect(await allBlocks(store.log, kept)).toEqual([hex(block(1, 'kept').block)]);
    await store.log.createShard(dropped, FOREVER);
    await fill();
    expect(store.usage().fileBytes).toBeLessThan(full.fileBytes * 1.3);
    await store.close();
  });

  it('goes on dropping after a crash in the middle of it', async () => {
    const store = await openStore();
    const [ref] = refsOf(1);
    if (ref === undefined) throw new Error('a shard');
    await store.log.createShard(ref, FOREVER);
    await Promise.all(
      Array.from({ length: 2_000 }, () => store.log.append(ref, block(1, 'x'.repeat(2_000)))),
    );
    const full = store.usage().liveBytes;
    // Closed while most of the blocks are still there: what comes after the first commit is refused.
    const dropping = store.log.dropShard(ref);
    await store.meta.put('first commit', bytes(''), 'any');
    await store.close();
    await dropping;
    const again = await openStore();
    expect(await outcome(again.log.bounds(ref))).toBe('SHARD_NOT_FOUND');
    while (again.usage().liveBytes > full / 10) await new Promise(setImmediate);
    await again.log.createShard(ref, FOREVER);
    expect(await again.log.bounds(ref)).toMatchObject({ records: 0, totalRecords: 0 });
    await again.close();
  });

  it('refuses the other layout', async () => {
    await (await openStore()).close();
    const other = layout === 'shared' ? 'perShard' : 'shared';
    const opening = openLmdbStore({ path, clock: new ManualClock(), layout: other });
    expect(await outcome(opening)).toBe('CONFIG_INVALID');
    await (await openStore()).close();
  });

  it('takes 300 shards', async () => {
    const store = await openStore();
    const refs = refsOf(300);
    await Promise.all(refs.map((ref) => store.log.createShard(ref, FOREVER)));
    await Promise.all(refs.map((ref) => store.log.append(ref, block(1, ref.shardId))));
    for (const ref of refs) {
      expect(await allBlocks(store.log, ref)).toEqual([hex(block(1, ref.shardId).block)]);
    }
    await store.close();
  });
});

describe('the file', () => {
  it('has its name only when it is whole, and nothing of an earlier attempt beside it', async () => {
    for (const left of [`${path}.new-1`, `${path}.new-1-lock`]) writeFileSync(left, 'torn');
    const store = await openLmdbStore({ path, clock: new ManualClock() });
    expect(readdirSync(folder).toSorted()).toEqual(['log.mdb', 'log.mdb-lock']);
    await store.meta.put('k', bytes('v'), 'any');
    await store.close();
    // Killed before the other name was removed.
    linkSync(path, `${path}.new-2`);
    const again = await openLmdbStore({ path, clock: new ManualClock() });
    expect(text((await again.meta.get('k'))?.value)).toBe('v');
    await again.close();
    expect(readdirSync(folder).toSorted()).toEqual(['log.mdb', 'log.mdb-lock']);
  });
});

describe('the engine', () => {
  it('stops when a table that is only appended to refuses a key', async () => {
    const engine = new LmdbEngine(path);
    const table = engine.table('log/1', true);
    const put = (key: number) => engine.transact(() => [table.put(Buffer.of(key), bytes('v'))], SMALL_COMMIT);
    await put(5);
    expect(await outcome(put(5))).toBe('STORAGE_FAILED');
    expect(await outcome(put(4))).toBe('STORAGE_FAILED');
    await put(6);
    expect(table.keys(Buffer.of(0), 10).map((key) => key[0])).toEqual([5, 6]);
    await engine.close();
  });

  it('carries nothing out for an owner who was replaced', async () => {
    const engine = new LmdbEngine(path);
    const system = engine.table('system');
    const key = Buffer.from('owner/one');
    await engine.transact(() => [system.put(key, bytes(''))], SMALL_COMMIT);
    engine.fence('system', key);
    await engine.transact(() => [system.put(Buffer.from('a'), bytes('1'))], SMALL_COMMIT);
    engine.alone(() => void system.remove(key));
    const late = engine.transact(() => [system.put(Buffer.from('a'), bytes('2'))], SMALL_COMMIT);
    expect(await outcome(late)).toBe('STORAGE_FAILED');
    expect(text(system.get(Buffer.from('a')))).toBe('1');
    await engine.close();
  });
});

describe('two processes', () => {
  it('do not open a store together; the second one gets it when the first one is gone', async () => {
    const writer = join(import.meta.dirname, '../../dist/test/fault/lmdb-writer.js');
    const child = fork(writer, [path, 'shared'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await new Promise((resolve) => child.once('message', resolve));
    const opening = () => openLmdbStore({ path, clock: new ManualClock() });
    await expect(opening()).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining(`${child.pid}`),
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    const store = await opening();
    const ref = { streamId: 's', shardId: '0' };
    expect((await store.log.readBlocks(ref, START_POSITION, { blocks: 1, bytes: 1 })).blocks).toHaveLength(1);
    await store.close();
  });
});

describe('a copy of a store', () => {
  it('is opened while the original is', async () => {
    const original = await openLmdbStore({ path, clock: new ManualClock() });
    await original.meta.put('k', bytes('v'), 'any');
    const writer = join(import.meta.dirname, '../../dist/test/fault/lmdb-writer.js');
    const taken = join(folder, 'taken.mdb');
    const child = fork(writer, [taken, 'shared'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    await new Promise((resolve) => child.once('message', resolve));
    // The copy holds the row of the process that has the original open.
    child.kill('SIGSTOP');
    const copy = join(folder, 'copy.mdb');
    copyFileSync(taken, copy);
    const opening = (file: string) => openLmdbStore({ path: file, clock: new ManualClock() });
    await expect(opening(taken)).rejects.toMatchObject({ code: 'BUSY' });
    await (await opening(copy)).close();
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    await original.close();
  });
});

describe('a store with as many shards as it can have tables', () => {
  it('refuses one more and goes on', async () => {
    const store = await openLmdbStore({ path, clock: new ManualClock(), layout: 'perShard' });
    const refs = refsOf(TABLES_MAX);
    const answers = await Promise.all(refs.map((ref) => outcome(store.log.createShard(ref, FOREVER))));
    const refused = answers.filter((answer) => answer !== undefined);
    expect(refused.length).toBeLessThan(10);
    expect(new Set(refused)).toEqual(new Set(['BUSY']));
    await expect(
      store.log.createShard(refs.at(-1) ?? refs[0] ?? { streamId: '', shardId: '' }, FOREVER),
    ).rejects.toThrow(/as many tables as it can have open/);
    const [first] = refs;
    if (first === undefined) throw new Error('a shard');
    await store.log.append(first, block());
    await store.log.dropShard(first);
    await store.log.createShard(refs.at(-1) ?? first, FOREVER);
    await store.close();
  });
});
