// Goal: no page of a store can be lost in silence: verification names it, and no program opens the store. Method: a store
// of small records, each of its pages in turn overwritten, with zeros and with noise.
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { ManualClock, REF, block, bytes, laneBlock, outcome } from './engines.ts';

const LAYOUTS: readonly LmdbLayout[] = ['shared', 'perShard'];
const PAGE_BYTES = 4096;
const BLOCKS = 60;
/** A process for each page: every run looks at a few, all of them over the runs of a night. */
const PAGES = process.env['NIGHTLY'] === 'true' ? Infinity : 12;

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-pages-'));
  path = join(folder, 'log.mdb');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.each(LAYOUTS)('a store with layout %s', (layout) => {
  const openStore = () => openLmdbStore({ path, clock: new ManualClock(), layout });

  /** 60 blocks of one record, an entry of Meta with each, a lane. */
  async function fill(): Promise<Buffer> {
    const store = await openStore();
    const { log, meta } = store;
    await log.createShard(REF, { retentionMs: Infinity });
    for (let index = 0; index < BLOCKS; index += 1) {
      await log.append(REF, block(1, `${index} ${'x'.repeat(1_500)}`));
      await meta.put(`key ${index}`, bytes('v'.repeat(500)), 'any');
    }
    await log.append(REF, laneBlock('l', 1n, 1n));
    await store.close();
    return readFileSync(path);
  }

  it('loses no page in silence', async () => {
    const sound = await fill();
    const pages = sound.length / PAGE_BYTES;
    const step = Math.max(1, Math.floor((pages - 2) / PAGES));
    for (let page = 2; page < pages; page += step) {
      const damaged = Buffer.from(sound);
      const noise = page % 2 === 0 ? 0 : 0xa5;
      damaged.fill(noise, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
      writeFileSync(path, damaged);
      const report = await verifyFolder(folder);
      // A page that was free is nobody's.
      expect(report.ok).toBe(report.records === BLOCKS + 1 && report.damage.length === 0);
      if (report.ok) {
        // Writing uses the pages that were free.
        const store = await openStore();
        for (let index = 0; index < 20; index += 1) await store.log.append(REF, block(1, 'x'.repeat(3_000)));
        await store.close();
        expect(await verifyFolder(folder)).toMatchObject({ ok: true, records: BLOCKS + 21 });
      } else await expect(openStore()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    }
  });

  it('is not opened when it was cut, overwritten or emptied, and says what to do', async () => {
    const sound = await fill();
    const damages: (readonly [() => void, RegExp])[] = [
      [
        () => truncateSync(path, Math.floor(sound.length / 2)),
        /(ended the process|cannot be read|overwritten or missing)/,
      ],
      [() => truncateSync(path, 100), /does not start as a store does/],
      [() => truncateSync(path, 0), /it is empty, what it held is lost/],
      [
        () => writeFileSync(path, Buffer.concat([Buffer.alloc(PAGE_BYTES), sound.subarray(PAGE_BYTES)])),
        /not start/,
      ],
      [
        () => writeFileSync(path, Buffer.concat([Buffer.alloc(8_192, 7), sound.subarray(8_192)])),
        /not start/,
      ],
      [() => writeFileSync(path, 'text\n'.repeat(5_000)), /does not start as a store does/],
    ];
    for (const [damage, message] of damages) {
      writeFileSync(path, sound);
      damage();
      const before = readFileSync(path);
      const refusal = await openStore().then(
        () => null,
        (error: unknown) => error as Error,
      );
      expect(refusal).toMatchObject({ code: 'STORAGE_FAILED', message: expect.stringMatching(message) });
      expect(refusal?.message).toContain(`${path} is damaged`);
      expect(refusal?.message).toContain(`tributary log verify ${folder}`);
      expect(readFileSync(path).equals(before)).toBe(true);
    }
    writeFileSync(path, sound);
    expect(await outcome(openStore().then((store) => store.close()))).toBeUndefined();
  });
});
