// Goal: a store of an earlier format opens with all it held, and a copy of it as it was is kept. Method: files written by
// the program before the format changed, one of each layout.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { nodeDigest } from '../../runtime/digest.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { salvageStore } from '../../storage/salvage/salvage.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { parseHeader } from '../../stream/block-header.ts';
import { decodeBlock } from '../../stream/block.ts';
import { START_POSITION, toPosition } from '../../stream/position.ts';
import { ManualClock, block, outcome, text } from '../contract/engines.ts';

const LAYOUTS: readonly LmdbLayout[] = ['shared', 'perShard'];
const TELEMETRY = { streamId: 'id-1', shardId: '0' };
const CLOSED = { streamId: 'id-2', shardId: '0' };
const PAGE_BYTES = 4096;
const DROPPED = { streamId: 'id-3', shardId: '0' };

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-golden-'));
  path = join(folder, 'log.mdb');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.each(LAYOUTS)('a store of format 1 (layout %s)', (layout) => {
  const sound = gunzipSync(readFileSync(join(import.meta.dirname, `stores/v1-${layout}.mdb.gz`)));
  const openStore = () => openLmdbStore({ path, clock: new ManualClock(), layout });

  it('is verified as it is, and opened with all its records', async () => {
    writeFileSync(path, sound);
    const held = { ok: true, records: 76, streams: { telemetry: { records: 60 }, 'id-2': { records: 16 } } };
    expect(await verifyFolder(folder)).toMatchObject(held);
    expect(readFileSync(path).equals(sound)).toBe(true);
    const store = await openStore();
    const page = await store.log.readBlocks(TELEMETRY, START_POSITION, { blocks: 100, bytes: 1e9 });
    expect(page.blocks).toHaveLength(20);
    for (const [index, stored] of page.blocks.entries()) {
      expect(stored.first).toBe(toPosition(1n, BigInt(index + 1), 0));
      expect(text(stored.note)).toBe(`note ${index}`);
      const { header, records } = decodeBlock(stored.block, nodeDigest);
      expect(header.firstOrdinal).toBe(BigInt(index * 3 + 1));
      expect(text(records[0]?.data)).toContain(`${index % 4 === 0 ? 'big' : 'a'} ${index} 0`);
    }
    expect(text((await store.meta.get('key/3'))?.value)).toBe('value 18');
    expect(await store.log.bounds(CLOSED)).toMatchObject({ closed: true, records: 16, recordsBefore: 6 });
    expect(await store.log.lane(CLOSED, 'gw/lane')).toMatchObject({ last: 22n });
    expect(await outcome(store.log.bounds(DROPPED))).toBe('SHARD_NOT_FOUND');
    const { first } = await store.log.append(TELEMETRY, block(2));
    expect(first).toBe(toPosition(1n, 21n, 0));
    await store.close();
    expect(await verifyFolder(path)).toMatchObject({ ok: true, records: 78 });
  });

  it('is kept as it was, once, whatever ended the program in between', async () => {
    writeFileSync(path, sound);
    // As a program left it that was killed while it copied, and one that was killed before it went on.
    writeFileSync(`${path}.v1-backup.partial`, sound.subarray(0, 5_000));
    writeFileSync(`${path}.v1-backup`, sound);
    await (await openStore()).close();
    await (await openStore()).close();
    const names = readdirSync(folder).filter((name) => name.includes('backup'));
    expect(names).toEqual(['log.mdb.v1-backup', 'log.mdb.v1-backup.partial']);
    expect(readFileSync(`${path}.v1-backup`).equals(sound)).toBe(true);
  });

  it('does not take the place of another copy', async () => {
    writeFileSync(path, sound);
    writeFileSync(`${path}.v1-backup`, 'of another time');
    await (await openStore()).close();
    expect(readFileSync(`${path}.v1-backup`, 'utf8')).toBe('of another time');
    expect(readFileSync(`${path}.v1-backup-2`).equals(sound)).toBe(true);
  });

  it('is not touched when another layout is asked for', async () => {
    writeFileSync(path, sound);
    const other = layout === 'shared' ? 'perShard' : 'shared';
    const opened = openLmdbStore({ path, clock: new ManualClock(), layout: other });
    expect(await outcome(opened)).toBe('CONFIG_INVALID');
    expect(readFileSync(path).equals(sound)).toBe(true);
    expect(existsSync(`${path}.v1-backup`)).toBe(false);
  });

  it('is salvaged as it is when it is damaged: no page costs more', { timeout: 120_000 }, async () => {
    const target = join(folder, 'salvaged.mdb');
    const clock = new ManualClock();
    for (let page = 2; page < sound.length / PAGE_BYTES; page += 2) {
      const damaged = Buffer.from(sound).fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      writeFileSync(path, damaged);
      const options = { damagedPath: path, targetPath: target, layout, wallMs: clock.ms };
      const report = await salvageStore(options);
      const store = await openLmdbStore({ path: target, clock, layout });
      for (const ref of [TELEMETRY, CLOSED]) {
        const bounds = await store.log.bounds(ref);
        const { blocks } = await store.log.readBlocks(ref, START_POSITION, { blocks: 100, bytes: 1e9 });
        for (const { first, block: bytes } of blocks) {
          const { firstOrdinal } = parseHeader(bytes);
          const perBlock = ref === TELEMETRY ? 3n : 2n;
          expect(first).toBe(toPosition(1n, (firstOrdinal - 1n) / perBlock + 1n, 0));
        }
        expect(bounds.records + bounds.lostRecords).toBe(bounds.totalRecords - bounds.recordsBefore);
      }
      await store.close();
      // At most a leaf of small blocks, or the one block whose first page it was.
      expect(report.records).toBeGreaterThanOrEqual(76 - 60);
    }
  });
});
