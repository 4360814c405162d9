// Goal: a damaged entry of the map is never taken for what was written: verification names it, the start sets the store
// aside, and an entry that is kept twice is what it was. Method: rows of a closed store with one bit of them flipped.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openLog } from '../../runtime/log-writer.ts';
import { SMALL_COMMIT } from '../../storage/lmdb/commit-size.ts';
import { LmdbEngine } from '../../storage/lmdb/lmdb-engine.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { copyKey } from '../../storage/meta-copy.ts';
import { encodeEntry, storedKey } from '../../storage/meta-entry.ts';
import { openStore } from '../../storage/salvage/store-recovery.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { ManualClock, REF, block, bytes, outcome, text } from './engines.ts';

const LAYOUTS: readonly LmdbLayout[] = ['shared', 'perShard'];
const TWICE = 'twice/a';
const ONCE = 'once/a';

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-map-'));
  path = join(folder, 'log.mdb');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe.each(LAYOUTS)('a map of a store with layout %s', (layout) => {
  const errors: string[] = [];
  const log = openLog('map', { level: 'error', write: (line) => errors.push(line) });
  const open = (onDamage: 'salvage' | 'refuse' = 'salvage') =>
    openStore({
      path,
      layout,
      clock: new ManualClock(),
      onDamage,
      log,
      copied: ['twice/'],
    });

  beforeEach(async () => {
    errors.length = 0;
    const store = await open();
    await store.log.createShard(REF, { retentionMs: Infinity });
    await store.log.append(REF, block(3));
    for (const key of [ONCE, TWICE]) {
      await store.meta.put(key, bytes('older'), 'any');
      await store.meta.put(key, bytes('newest'), 'any');
    }
    await store.close();
  });

  async function tamper(table: string, key: Uint8Array, change: (row: Buffer) => Uint8Array): Promise<void> {
    const engine = new LmdbEngine(path);
    const rows = engine.table(table);
    const stored = change(Buffer.from(rows.get(key) ?? bytes('')));
    await engine.transact(() => [rows.put(key, stored)], SMALL_COMMIT);
    await engine.close();
  }

  const flip = (row: Buffer): Buffer => {
    row[row.length - 1] = (row.at(-1) ?? 0) ^ 1;
    return row;
  };

  const damage = async () =>
    (await verifyFolder(folder)).damage.map(({ kind, detail }) => `${kind}: ${detail}`);

  it('gives an entry that is kept twice as it was', async () => {
    await tamper('meta', storedKey(TWICE), flip);
    expect(await damage()).toEqual([expect.stringMatching(/^map-row: the entry twice\/a of the table meta/)]);
    expect(await outcome(open('refuse'))).toBe('STORAGE_FAILED');
    const store = await open();
    expect(text((await store.meta.get(TWICE))?.value)).toBe('newest');
    expect(text((await store.meta.get(ONCE))?.value)).toBe('newest');
    expect((await store.log.bounds(REF)).records).toBe(3);
    await store.close();
    expect(await damage()).toEqual([]);
  });

  it('gives an entry that is kept once to nobody', async () => {
    await tamper('meta', storedKey(ONCE), flip);
    const store = await open();
    expect(text((await store.meta.get(ONCE))?.value)).toBe(null);
    expect(text((await store.meta.get(TWICE))?.value)).toBe('newest');
    await store.close();
    expect(errors.join('\n')).toContain('a row of the table meta is damaged');
    expect(await damage()).toEqual([]);
  });

  it('goes on when the second copy is the damaged one', async () => {
    await tamper('system', copyKey(TWICE), flip);
    expect(await damage()).toEqual([
      expect.stringMatching(/^map-row: the entry copy\/twice\/a of the table system/),
    ]);
    const store = await open();
    expect(text((await store.meta.get(TWICE))?.value)).toBe('newest');
    await store.close();
    expect(await damage()).toEqual([]);
  });

  it('takes the newer of an entry and its copy, when other damage leads to an older one', async () => {
    await tamper('meta', storedKey(TWICE), () => encodeEntry(TWICE, bytes('older'), 1n));
    await tamper('meta', storedKey(ONCE), flip);
    const store = await open();
    expect(text((await store.meta.get(TWICE))?.value)).toBe('newest');
    await store.close();
  });
});
