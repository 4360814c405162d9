// Goal: what the gateway keeps of its enrolment lets an operator mend every mistake. Method: the store in memory, opened
// again after each step as a start does.
import { beforeEach, expect, it } from 'vitest';
import { IdentityStore } from '../../gateway/identity-store.ts';
import { chooseServer } from '../../gateway/server-choice.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import type { MemoryStore } from '../../storage/memory/memory-store.ts';
import type { Log } from '../../stream/ports.ts';

const sealer = { seal: (plain: Uint8Array) => plain, open: (sealed: Uint8Array) => sealed };
const clock = { wallMs: () => 0, monotonicUs: () => 0n };
const lines: string[] = [];
const note = (event: string, fields?: unknown): void => void lines.push(JSON.stringify([event, fields]));
const log: Log = { debug: note, info: note, notice: note, warn: note, error: note, child: () => log };
const CODE = 'ABCD-EFGH.2222222222222222';
const A = 'http://a:4567';
const B = 'http://b:4567';

let store: MemoryStore;
beforeEach(async () => {
  lines.length = 0;
  store = await openMemoryStore({ clock });
});

/** A start with these settings. */
async function start(url?: string, enrolmentCode?: string): Promise<IdentityStore> {
  const identities = await IdentityStore.open(store.meta, sealer);
  if (url !== undefined) await chooseServer(identities, { url, enrolmentCode }, log);
  return identities;
}

async function enrolAt(url: string): Promise<void> {
  await (
    await start(url, CODE)
  ).complete({
    gateway: 'gw-1',
    token: 't',
    serverPublicKey: 'AAAA',
    signature: '',
  });
}

it('a code that the server refused is forgotten for good, and the key stays', async () => {
  const first = await start(A, CODE);
  const publicKey = first.pending?.publicKey;
  await first.dropPending();
  expect(first.pending).toBeNull();
  expect((await start()).pending).toBeNull();
  expect((await start(A, CODE)).pending).toMatchObject({ code: CODE, publicKey });
});

it('a corrected server is where the code is redeemed, also when the code is not given again', async () => {
  await start(A, CODE);
  expect((await start(B)).pending).toMatchObject({ code: CODE, serverUrl: B });
  expect((await start()).pending).toMatchObject({ serverUrl: B });
  expect(lines).toEqual([]);
});

it('without a code a server alone keeps nothing', async () => {
  expect((await start(A)).pending).toBeNull();
  expect(await store.meta.get('identity')).toBeNull();
});

it('once enrolled the server stays, and a setting that names another one is told of', async () => {
  await enrolAt(A);
  expect((await start(`${A}/`)).identity?.serverUrl).toBe(A);
  expect(lines).toEqual([]);
  expect((await start(B)).identity?.serverUrl).toBe(A);
  expect((await start()).identity?.serverUrl).toBe(A);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain(A);
  expect(lines[0]).toContain(B);
});

it('the identity of a lost key can be given up', async () => {
  await IdentityStore.erase(store.meta);
  await enrolAt(A);
  await IdentityStore.erase(store.meta);
  expect((await start()).identity).toBeNull();
});
