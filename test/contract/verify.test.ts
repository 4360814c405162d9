// Goal: verification counts what is there and names every damage, and no damaged file ends the process that asks.
// Method: real files, damaged on purpose, one way at a time.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { toPosition } from '../../stream/position.ts';
import type { Store } from '../../stream/ports.ts';
import { SMALL_COMMIT } from '../../storage/lmdb/commit-size.ts';
import { LmdbEngine } from '../../storage/lmdb/lmdb-engine.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { blockKey, shardKey } from '../../storage/shard-keys.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { ManualClock, block, bytes, laneBlock, outcome } from './engines.ts';

const LAYOUTS: readonly LmdbLayout[] = ['shared', 'perShard'];
const REF = { streamId: 'id-1', shardId: '0' };
const OTHER = { streamId: 'id-2', shardId: '0' };
const BLOCKS = 20;

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-verify-'));
  path = join(folder, 'log.mdb');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const openStore = (layout: LmdbLayout = 'shared', file = path) =>
  openLmdbStore({ path: file, clock: new ManualClock(), layout });

/** 20 blocks of 3 records in a stream called telemetry, 1 of 2 in another without a name. */
async function fill(store: Store): Promise<number> {
  const { log } = store;
  await log.createShard(REF, { retentionMs: Infinity, streamName: 'telemetry' });
  await log.createShard(OTHER, { retentionMs: Infinity });
  const inputs = Array.from({ length: BLOCKS }, (_, index) => block(3, `${index} ${'x'.repeat(9_000)}`));
  for (const input of inputs) await log.append(REF, input);
  const other = laneBlock('l', 1n, 2n);
  await log.append(OTHER, other);
  return [...inputs, other].reduce((sum, input) => sum + input.block.length, 0);
}

/** Changes the file behind the store's back. */
async function tamper(change: (engine: LmdbEngine) => readonly Promise<boolean>[]): Promise<void> {
  const engine = new LmdbEngine(path);
  for (const name of ['log', 'shards', 'system']) engine.table(name);
  await engine.transact(() => change(engine), SMALL_COMMIT);
  await engine.close();
}

function stored(engine: LmdbEngine, commit: bigint): Buffer {
  return Buffer.from(engine.table('log').get(blockKey(1, commit)) ?? bytes(''));
}

describe.each(LAYOUTS)('a sound store (layout %s)', (layout) => {
  it('is counted by stream, while a program has it open and after', async () => {
    const store = await openStore(layout);
    const total = await fill(store);
    const expected = {
      schema: 'tributary.log-verify/1',
      ok: true,
      records: 3 * BLOCKS + 2,
      bytes: total,
      lostRecords: 0,
      streams: { telemetry: { records: 3 * BLOCKS }, 'id-2': { records: 2 } },
      damage: [],
    };
    expect(await verifyFolder(folder)).toEqual(expected);
    await store.log.append(OTHER, laneBlock('l', 3n, 3n));
    expect(await verifyFolder(path)).toMatchObject({ ok: true, records: 3 * BLOCKS + 3 });
    await store.close();
    expect(await verifyFolder(folder)).toMatchObject({ ok: true, records: 3 * BLOCKS + 3 });
  });

  it('is sound while it is written, trimmed and dropped from', async () => {
    const store = await openStore(layout);
    await fill(store);
    let isDone = false;
    const writing = (async () => {
      for (let index = 0; !isDone; index += 1) {
        const ref = { streamId: 'busy', shardId: `${index % 7}` };
        await store.log.createShard(ref, { retentionMs: Infinity });
        const { first } = await store.log.append(ref, block(2, 'x'.repeat(5_000)));
        await store.log.trim(ref, toPosition(1n, (first >> 16n) & 0xffffn, 0));
        if (index % 20 === 19) await store.log.dropShard(ref);
      }
    })();
    for (let round = 0; round < 3; round += 1) {
      expect(await verifyFolder(folder)).toMatchObject({ ok: true, damage: [] });
    }
    isDone = true;
    await writing;
    await store.close();
  });

  it('counts neither what was trimmed nor what was dropped', async () => {
    const store = await openStore(layout);
    await fill(store);
    await store.log.trim(REF, toPosition(1n, 11n, 0));
    await store.log.dropShard(OTHER);
    await store.close();
    expect(await verifyFolder(folder)).toMatchObject({
      ok: true,
      records: 30,
      streams: { telemetry: { records: 30 } },
    });
  });
});

describe('a damaged store', () => {
  beforeEach(async () => {
    const store = await openStore();
    await fill(store);
    await store.close();
  });

  const damage = async () => {
    const report = await verifyFolder(folder);
    expect(report.ok).toBe(report.damage.length === 0);
    return report.damage.map(({ kind, shard, detail }) => `${kind} ${shard}: ${detail}`);
  };

  it('has a flipped bit in a block', async () => {
    await tamper((engine) => {
      const value = stored(engine, 7n);
      value[2_000] = (value[2_000] ?? 0) ^ 4;
      return [engine.table('log').put(blockKey(1, 7n), value)];
    });
    expect(await damage()).toEqual([
      expect.stringMatching(
        /^block-damaged id-1\/0: block 7: the block's checksum is [0-9a-f]{8}, its header says/,
      ),
    ]);
    const report = await verifyFolder(folder);
    expect(report.records).toBe(3 * (BLOCKS - 1) + 2);
  });

  it('lacks blocks in the middle', async () => {
    await tamper((engine) => [9n, 10n].map((commit) => engine.table('log').remove(blockKey(1, commit))));
    expect(await damage()).toEqual(['block-missing id-1/0: block 11 follows where 9 is expected']);
  });

  it('lacks blocks at the end', async () => {
    const store = await openStore();
    await store.log.closeShard(REF);
    await store.close();
    await tamper((engine) => [engine.table('log').remove(blockKey(1, 20n))]);
    expect(await damage()).toEqual(['block-missing id-1/0: it ends at block 19, its row says 20']);
  });

  it('has counts that do not add up', async () => {
    await tamper((engine) => {
      const [wrongCount, wrongSum] = [stored(engine, 4n), stored(engine, 15n)];
      wrongCount.writeUInt32BE(2, 4);
      wrongSum.writeDoubleBE(1_000, 16);
      const log = engine.table('log');
      return [log.put(blockKey(1, 4n), wrongCount), log.put(blockKey(1, 15n), wrongSum)];
    });
    const [countEnvelope, count, sumEnvelope, sum, after] = await damage();
    expect(countEnvelope).toMatch(/^envelope-damaged id-1\/0: block 4: /);
    expect(sumEnvelope).toMatch(/^envelope-damaged id-1\/0: block 15: /);
    expect(count).toBe('counts id-1/0: block 4 has 3 records, its envelope says 2');
    expect(sum).toMatch(/^counts id-1\/0: up to block 15 there are 45 records .* its envelope says 1000/);
    expect(after).toMatch(/^counts id-1\/0: up to block 16 there are 1003 records/);
  });

  it('has a row that is none, and blocks of nobody', async () => {
    await tamper((engine) => [
      engine.table('shards').put(shardKey(REF), bytes('{')),
      engine.table('log').put(blockKey(77, 1n), stored(engine, 1n)),
    ]);
    const found = await damage();
    expect(found).toEqual([
      'orphan-blocks null: shard number 1 has blocks and no row',
      'orphan-blocks null: shard number 77 has blocks and no row',
      expect.stringMatching(/^shard-row id-1\/0: its row is damaged: .*JSON/),
    ]);
  });

  it('is of a format of later', async () => {
    await tamper((engine) => [engine.table('system').put(Buffer.from('format'), bytes('{"version":9}'))]);
    expect(await damage()).toEqual(['format null: format 9 is unknown; this program reads 1 to 2']);
  });

  it('was cut short', async () => {
    truncateSync(path, 3 * 4096);
    const [found] = await damage();
    expect(found).toMatch(
      /^unreadable null: (reading .*log\.mdb ended the process with signal SIG|.*log\.mdb cannot be read)/,
    );
  });

  it('has pages of nothing', async () => {
    const file = readFileSync(path);
    file.fill(0, 2 * 4096);
    writeFileSync(path, file);
    const [found] = await damage();
    expect(found).toMatch(/^unreadable null: (reading )?.*log\.mdb (ended|cannot be read)/);
  });

  it('is empty, all zeros, a text, or gone', async () => {
    const size = readFileSync(path).length;
    writeFileSync(path, '');
    expect(await damage()).toEqual([`empty-file null: ${path} is empty: what it held is lost`]);
    const none = `not-a-store null: ${path} does not start as a store does: it is damaged or something else`;
    writeFileSync(path, new Uint8Array(size));
    expect(await damage()).toEqual([none]);
    writeFileSync(path, 'text\n'.repeat(5_000));
    expect(await damage()).toEqual([none]);
    rmSync(path);
    expect(await damage()).toEqual([`missing-file null: there is no store (*.mdb) in ${folder}`]);
    expect((await verifyFolder(path)).damage).toEqual([
      { kind: 'missing-file', shard: null, detail: `${path} is missing` },
    ]);
  });

  it('does not hide the sound store beside it', async () => {
    const second = await openStore('perShard', join(folder, 'other.mdb'));
    await second.log.createShard(REF, { retentionMs: Infinity, streamName: 'other' });
    await second.log.append(REF, block(4));
    await second.close();
    truncateSync(path, 3 * 4096);
    const report = await verifyFolder(folder);
    expect(report).toMatchObject({ ok: false, records: 4, streams: { other: { records: 4 } } });
    // Which of its pages are missing decides what is said of it besides.
    expect(report.damage[0]?.kind).toBe('unreadable');
    for (const { detail } of report.damage) expect(detail).toContain('log.mdb');
  });
});

describe('what is not there', () => {
  it('is an error of the caller', async () => {
    expect(await outcome(verifyFolder(join(folder, 'nowhere')))).toBe('CONFIG_INVALID');
    writeFileSync(join(folder, 'file'), '');
    await expect(verifyFolder(join(folder, 'file'))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('neither a folder nor a file that ends in .mdb'),
    });
  });
});

describe('a store that is opened', () => {
  const tampering = async (change: (engine: LmdbEngine) => readonly Promise<boolean>[]) => {
    const store = await openStore();
    await fill(store);
    await store.close();
    await tamper(change);
    return outcome(openStore().then((opened) => opened.close()));
  };

  it('may have a damaged block: the others can be read', async () => {
    const answer = await tampering((engine) => {
      const value = stored(engine, 7n);
      value[2_000] = (value[2_000] ?? 0) ^ 4;
      return [engine.table('log').put(blockKey(1, 7n), value)];
    });
    expect(answer).toBeUndefined();
  });

  it('gives no ordinal twice: its newest block continues the counts', async () => {
    const answer = await tampering((engine) => {
      const value = stored(engine, 20n);
      value.writeDoubleBE(30, 16);
      return [engine.table('log').put(blockKey(1, 20n), value)];
    });
    expect(answer).toBe('STORAGE_FAILED');
  });

  it('gives no position twice: no block is beyond a gap', async () => {
    const answer = await tampering((engine) => [engine.table('log').remove(blockKey(1, 9n))]);
    expect(answer).toBe('STORAGE_FAILED');
  });
});
