// Goal: what is kept twice is the same twice, whoever had the store open last: a lost page costs nothing then, and what was
// given up does not come back. Method: real stores, the commands that open them, and the page of the map's rows lost.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IdentityStore } from '../../gateway/identity-store.ts';
import { resetIdentity } from '../../gateway/identity-reset.ts';
import { KEPT_TWICE } from '../../gateway/kept-twice.ts';
import { systemClock as clock } from '../../runtime/clock.ts';
import { dataFolderOf } from '../../runtime/data-folder.ts';
import { openFileKey } from '../../runtime/key-provider.ts';
import { rotateKeys } from '../../server/keys.ts';
import { SMALL_COMMIT } from '../../storage/lmdb/commit-size.ts';
import { LmdbEngine } from '../../storage/lmdb/lmdb-engine.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { COPIED_KEY, copiedKey, isCopyRow } from '../../storage/meta-copy.ts';
import { PageFile } from '../../storage/pages/page-file.ts';
import { PageTrees } from '../../storage/pages/page-tree.ts';
import { salvageStore } from '../../storage/salvage/salvage.ts';
import { FOLDER_KEY, Vault } from '../../storage/seal/vault.ts';
import type { Store } from '../../stream/ports.ts';
import { ROOT } from '../processes.ts';

const PAGE_BYTES = 4096;
const LAYOUT = 'perShard';

let data = '';
let path = '';
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'tributary-copies-'));
  path = dataFolderOf(data, 'gateway').storeFile;
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

const keyFile = () => dataFolderOf(data, 'gateway').keyFile;
const openProgram = (file = path) => openLmdbStore({ path: file, clock, layout: LAYOUT, copied: KEPT_TWICE });

/** Opens as a gateway with encryption does. */
async function openSealed(file = path): Promise<{ store: Store; vault: Vault }> {
  const places = { keyFile: keyFile(), env: {} };
  const told = { storeFile: file, lastResort: 'start anew' };
  const vault = Vault.open({ sealWith: FOLDER_KEY, secretsPrefix: 'identity', places, store: told, clock });
  const { admit } = vault;
  const store = await openLmdbStore({ path: file, clock, layout: LAYOUT, copied: KEPT_TWICE, admit });
  await vault.attach(store.meta);
  return { store, vault };
}

async function entriesOf(store: Store): Promise<Map<string, string>> {
  const entries = new Map<string, string>();
  for await (const { key, value } of store.meta.list(''))
    entries.set(key, Buffer.from(value).toString('hex'));
  return entries;
}

/** Keys of the copies in a closed store. */
async function copiesIn(file = path): Promise<string[]> {
  const engine = new LmdbEngine(file);
  const keys = engine.table('system').keys(Buffer.of(0), 1_000);
  await engine.close();
  return keys.filter(isCopyRow).map((key) => copiedKey(Buffer.from(key)).toString());
}

/** Zeros over the page that has the map's rows. */
function loseMap(): void {
  const page = PageFile.read(path, (file) => {
    const trees = new PageTrees(file, () => undefined);
    const tables = [...trees.entries(file.roots[0]?.mainRoot ?? 0n)];
    return tables.find(({ key }) => key.toString() === 'meta\0')?.tree?.root;
  });
  const bytes = readFileSync(path);
  const at = Number(page) * PAGE_BYTES;
  expect(bytes.indexOf('keys/', at)).toBeGreaterThan(at);
  writeFileSync(path, bytes.fill(0, at, at + PAGE_BYTES));
}

async function salvaged(): Promise<string> {
  const targetPath = join(data, 'salvaged.mdb');
  await salvageStore({ damagedPath: path, targetPath, layout: LAYOUT, wallMs: clock.wallMs() });
  return targetPath;
}

describe('what is kept twice', () => {
  it('is what the map has after the keys were rotated', async () => {
    const first = await openSealed();
    await first.vault.keyring.renew();
    await first.store.meta.put('lane/a', Buffer.from('{}'), 'any');
    await first.store.close();
    expect(await rotateKeys(data, null)).not.toBeNull();
    const rotated = await openLmdbStore({ path, clock, layout: LAYOUT });
    const before = await entriesOf(rotated);
    await rotated.close();
    loseMap();
    const { store } = await openSealed(await salvaged());
    expect(await entriesOf(store)).toEqual(before);
    await store.close();
  });

  it('does not bring back an identity that was given up', async () => {
    const sealer = openFileKey(keyFile());
    const store = await openProgram();
    const identities = await IdentityStore.open(store.meta, sealer);
    await identities.prepare('code', 'http://server');
    await identities.complete({
      gateway: 'gw-former',
      serverPublicKey: 'AAAA',
      token: 't',
      signature: 'c2ln',
    });
    await store.close();
    expect((await resetIdentity(data)).former).toBe('gw-former');
    const after = await openProgram(await salvaged());
    expect((await IdentityStore.open(after.meta, sealer)).identity).toBeNull();
    await after.close();
  });

  it('stays up to date when the store is opened by who does not name it', async () => {
    const program = await openProgram();
    await program.meta.put('identity', Buffer.from('first'), 'any');
    await program.meta.put('lane/a', Buffer.from('first'), 'any');
    await program.close();
    const other = await openLmdbStore({ path, clock, layout: LAYOUT });
    await other.meta.put('lane/b', Buffer.from('second'), 'any');
    await other.meta.del('identity', 'any');
    await other.meta.put('other', Buffer.from('not copied'), 'any');
    await other.close();
    expect(await copiesIn()).toEqual(['lane/a', 'lane/b']);
  });

  it('is mended where an earlier program has left it behind', async () => {
    const program = await openProgram();
    for (const key of ['identity', 'lane/a', 'lane/b'])
      await program.meta.put(key, Buffer.from('first'), 'any');
    await program.close();
    // As a program that did not remember what is copied.
    const engine = new LmdbEngine(path);
    const system = engine.table('system');
    await engine.transact(() => [system.remove(COPIED_KEY)], SMALL_COMMIT);
    await engine.close();
    const earlier = await openLmdbStore({ path, clock, layout: LAYOUT });
    await earlier.meta.del('identity', 'any');
    await earlier.meta.put('lane/a', Buffer.from('second'), 'any');
    await earlier.meta.put('lane/c', Buffer.from('third'), 'any');
    const entries = await entriesOf(earlier);
    await earlier.close();
    await (await openProgram()).close();
    expect(await copiesIn()).toEqual(['lane/a', 'lane/b', 'lane/c']);
    // The copies alone say what the map said.
    const maker = new LmdbEngine(path);
    const meta = maker.table('meta');
    const keys = meta.keys(Buffer.of(0), 1_000);
    await maker.transact(() => keys.map((key) => meta.remove(key)), SMALL_COMMIT);
    await maker.close();
    const store = await openProgram(await salvaged());
    expect(await entriesOf(store)).toEqual(entries);
    await store.close();
  });

  it('is made of a store of format 1 though a command opens it first', async () => {
    writeFileSync(path, gunzipSync(readFileSync(join(ROOT, 'test/golden/stores/v1-perShard.mdb.gz'))));
    openFileKey(keyFile());
    const engine = new LmdbEngine(path);
    const meta = engine.table('meta');
    const [row] = meta.range(Buffer.of(0), 1);
    // An entry of an earlier program, under a key that is copied now.
    const value = Buffer.concat([Buffer.of(0, 0, 0, 0, 0, 0, 0, 1), Buffer.of(0, 6), Buffer.from('lane/ax')]);
    await engine.transact(() => [meta.put(Buffer.from('lane/a'), value)], SMALL_COMMIT);
    await engine.close();
    expect(row).toBeDefined();
    await (await openLmdbStore({ path, clock, layout: LAYOUT })).close();
    await (await openProgram()).close();
    expect(await copiesIn()).toEqual(['lane/a']);
  });

  it('costs no commit when nothing is to be mended', async () => {
    const program = await openProgram();
    await program.meta.put('lane/a', Buffer.from('first'), 'any');
    await program.close();
    const commitsOfOpening = async (): Promise<bigint> => {
      const before = transaction();
      await (await openProgram()).close();
      return transaction() - before;
    };
    // Who owns the store, and that nobody does any more.
    expect(await commitsOfOpening()).toBe(2n);
  });
});

function transaction(): bigint {
  return PageFile.read(path, (file) => file.roots[0]?.transaction ?? 0n);
}
