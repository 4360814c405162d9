// Goal: secrets are kept, sealed and never given away. Method: real key files, the store in memory.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openFileKey } from '../../runtime/key-provider.ts';
import { AccessKeys } from '../../server/access/access-keys.ts';
import { installAccessKeys } from '../../server/access/install-access-keys.ts';
import { openSecret } from '../../server/access/server-secrets.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import type { MemoryStore } from '../../storage/memory/memory-store.ts';
import type { Log } from '../../stream/ports.ts';

const lines: string[] = [];
const note = (event: string, fields?: unknown): void => void lines.push(JSON.stringify([event, fields]));
const log: Log = { debug: note, info: note, notice: note, warn: note, error: note, child: () => log };
const clock = { wallMs: () => 0, monotonicUs: () => 0n };

let folder: string;
let store: MemoryStore;
beforeEach(async () => {
  lines.length = 0;
  folder = mkdtempSync(join(tmpdir(), 'tributary-access-'));
  store = await openMemoryStore({ clock });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const sealer = () => openFileKey(join(folder, 'server.key'));
const install = (env: NodeJS.ProcessEnv) => installAccessKeys(store.meta, sealer(), folder, env, log);

it('the pair of the environment is installed at each start, and older ones stay', async () => {
  await install({ TRIBUTARY_ACCESS_KEY_ID: 'ONE', TRIBUTARY_SECRET_ACCESS_KEY: 'first' });
  await install({ TRIBUTARY_ACCESS_KEY_ID: 'TWO', TRIBUTARY_SECRET_ACCESS_KEY: 'second' });
  const keys = await install({ TRIBUTARY_ACCESS_KEY_ID: 'ONE', TRIBUTARY_SECRET_ACCESS_KEY: 'rotated' });
  expect([keys.secretOf('ONE'), keys.secretOf('TWO'), keys.secretOf('THREE')]).toEqual([
    'rotated',
    'second',
    undefined,
  ]);
  expect(existsSync(join(folder, 'first-access-key'))).toBe(false);
  expect(lines.join()).not.toMatch(/first|second|rotated/);
});

it('without one the first pair is made once, in a file of the owner', async () => {
  await install({});
  const path = join(folder, 'first-access-key');
  const text = readFileSync(path, 'utf8');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const [, id = '', secret = ''] =
    /^AWS_ACCESS_KEY_ID=(\w+)\nAWS_SECRET_ACCESS_KEY=([\w-]{40})\n/.exec(text) ?? [];
  expect(text).toContain(`TRIBUTARY_ACCESS_KEY_ID=${id}\nTRIBUTARY_SECRET_ACCESS_KEY=${secret}\n`);
  expect((await install({})).secretOf(id)).toBe(secret);
  expect(readFileSync(path, 'utf8')).toBe(text);
  expect(lines).toEqual([JSON.stringify(['first access key written', { path }])]);
});

it('half a pair and a bad id are refused', async () => {
  await expect(install({ TRIBUTARY_ACCESS_KEY_ID: 'ONE' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  const bad = { TRIBUTARY_ACCESS_KEY_ID: 'a/b', TRIBUTARY_SECRET_ACCESS_KEY: 'x' };
  await expect(install(bad)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  const empty = { TRIBUTARY_ACCESS_KEY_ID: 'ONE', TRIBUTARY_SECRET_ACCESS_KEY: '' };
  await expect(install(empty)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
});

it('another key file opens nothing', async () => {
  await install({ TRIBUTARY_ACCESS_KEY_ID: 'ONE', TRIBUTARY_SECRET_ACCESS_KEY: 'hidden' });
  const secret = await openSecret(store.meta, sealer(), 'iterators');
  expect(Buffer.from(await openSecret(store.meta, sealer(), 'iterators'))).toEqual(Buffer.from(secret));
  for await (const { value } of store.meta.list(''))
    expect(Buffer.from(value).toString('latin1')).not.toContain('hidden');
  writeFileSync(join(folder, 'server.key'), Buffer.alloc(32, 1), { mode: 0o600 });
  await expect(AccessKeys.open(store.meta, sealer())).rejects.toMatchObject({ code: 'KEY_INVALID' });
  await expect(openSecret(store.meta, sealer(), 'iterators')).rejects.toMatchObject({ code: 'KEY_INVALID' });
});

it('a secret that two ask for first is one secret', async () => {
  const both = await Promise.all([1, 2].map(() => openSecret(store.meta, sealer(), 'one')));
  expect(Buffer.from(both[0] ?? [])).toEqual(Buffer.from(both[1] ?? [1]));
});
