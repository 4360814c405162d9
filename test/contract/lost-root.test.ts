// Goal: a store whose newest root page is lost is salvaged with its last commit, which lies on pages that were free before.
// Method: seeded logs of many sizes, the newer of the two root pages overwritten.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PAGE_BYTES } from '../../storage/lmdb/commit-size.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { PageFile } from '../../storage/pages/page-file.ts';
import { salvageStore } from '../../storage/salvage/salvage.ts';
import { blockOf, numberedRecords } from '../blocks.ts';
import { randomOf } from '../seeded-random.ts';
import { ManualClock, REF, START_MS } from './engines.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-root-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const CASES = ([1, 2, 3, 4] as const).flatMap((seed) =>
  (['shared', 'perShard'] as const).map((layout): [LmdbLayout, number] => [layout, seed]),
);

it.each(CASES)('a lost root costs nothing (layout %s, seed %i)', async (layout, seed) => {
  const random = randomOf(seed);
  const path = join(folder, 'log.mdb');
  const store = await openLmdbStore({ path, clock: new ManualClock(), layout });
  await store.log.createShard(REF, { retentionMs: Infinity });
  let records = 0;
  for (let commit = 0; commit < 30 + seed; commit += 1) {
    const count = 1 + Math.floor(random() * 200);
    const block = blockOf(numberedRecords(count), { firstOrdinal: BigInt(records + 1) });
    await store.log.append(REF, { block, recordCount: count });
    records += count;
    if (commit % 10 === 9) await store.log.trim(REF, await store.log.seekOrdinal(REF, BigInt(records - 100)));
  }
  const kept = (await store.log.bounds(REF)).records;
  const file = readFileSync(path);
  await store.close();
  const damagedPath = join(folder, 'damaged.mdb');
  writeFileSync(damagedPath, file);
  const [newest] = PageFile.read(damagedPath, ({ roots }) => roots);
  // Transactions take the two root pages in turns.
  const page = Number((newest?.transaction ?? 0n) % 2n);
  writeFileSync(damagedPath, file.fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES));
  const targetPath = join(folder, 'target.mdb');
  const report = await salvageStore({ damagedPath, targetPath, layout, wallMs: START_MS });
  expect([report.records, report.lostRecords]).toEqual([kept, 0]);
});
