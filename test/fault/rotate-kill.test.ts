// Goal: a rotation that is killed at any moment leaves a store that opens with what is there, and is taken up again.
// Method: `tributary keys rotate` on a table of many keys, killed by kill -9 while the next key file is there. A failure
// prints its seed; run it again with SEED=<seed> npx vitest run --project fault rotate-kill
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { START_POSITION } from '../../stream/position.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { KEYS_PREFIX, decodeKeyRow } from '../../storage/seal/key-table.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { sealStore } from '../../storage/seal/seal-store.ts';
import { FOLDER_KEY, Vault, nextKeyFile } from '../../storage/seal/vault.ts';
import { blockOf, record } from '../blocks.ts';
import { MAIN } from '../processes.ts';
import { randomOf } from '../seeded-random.ts';

const KEYS = 200;
/** Kills that must come while some keys are wrapped by the old key and some by the new one. */
const BETWEEN = process.env['NIGHTLY'] === 'true' ? 50 : 3;
const KILLS_MAX = 20 * BETWEEN;
const REF = { streamId: 'stream', shardId: 'shardId-000000000000' };
const seed = Number(process.env['SEED'] ?? 1 + Math.floor(Math.random() * 1_000_000));

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-rotate-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const keyFile = () => join(folder, 'server.key');

/** Opens as a program does, reads everything, and writes one block more. Answers the fingerprints in the table. */
async function use(expected: number, prepare?: (vault: Vault) => Promise<void>): Promise<Set<string>> {
  const path = join(folder, 'server.mdb');
  const vault = Vault.open({
    sealWith: FOLDER_KEY,
    secretsPrefix: 'secret/',
    places: { keyFile: keyFile(), env: {} },
    store: { storeFile: path, lastResort: 'start anew' },
    clock: systemClock,
  });
  const disk = await openLmdbStore({ path, clock: systemClock, admit: vault.admit });
  try {
    await vault.attach(disk.meta);
    await prepare?.(vault);
    const { log } = sealStore(disk, vault.keyring, nodeDigest);
    await log.createShard(REF, { retentionMs: Infinity });
    const { blocks } = await log.readBlocks(REF, START_POSITION, { blocks: 1e6, bytes: 1e9 });
    expect(blocks.map(({ block }) => block.length > 0)).toEqual(Array.from({ length: expected }, () => true));
    await log.append(REF, { block: blockOf([record('k', `block ${expected}`)]), recordCount: 1 });
    const fingerprints = new Set<string>();
    for await (const entry of disk.meta.list(KEYS_PREFIX)) fingerprints.add(decodeKeyRow(entry).fingerprint);
    return fingerprints;
  } finally {
    await disk.close();
  }
}

/** How the rotation ended: killed `delayMs` after the next key file was there, if it takes so long. */
async function rotate(delayMs: number): Promise<number | NodeJS.Signals | null> {
  const child = spawn(process.execPath, [MAIN, 'keys', 'rotate', folder], { stdio: 'ignore' });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
  while (!existsSync(nextKeyFile(keyFile())) && child.exitCode === null) await sleep(1);
  if (delayMs < Infinity) {
    await sleep(delayMs);
    child.kill('SIGKILL');
  }
  return ended;
}

it(`opens wherever it was killed, seed ${seed}`, async () => {
  const random = randomOf(seed);
  await use(0, async (vault) => {
    for (let key = 0; key < KEYS; key += 1) await vault.keyring.renew();
  });
  let blocks = 1;
  let between = 0;
  let delayMs = 20;
  for (let kills = 0; between < BETWEEN; kills += 1) {
    expect(kills, 'kills that came too early or too late').toBeLessThan(KILLS_MAX);
    const end = await rotate(delayMs * (0.5 + random()));
    expect([0, 'SIGKILL']).toContain(end);
    const masters = await use(blocks);
    blocks += 1;
    if (masters.size > 1) between += 1;
    // As fast as the machine is, the moment is found.
    else delayMs *= end === 0 ? 0.6 : 1.5;
  }
  expect(await rotate(Infinity)).toBe(0);
  expect(existsSync(nextKeyFile(keyFile()))).toBe(false);
  expect((await use(blocks)).size).toBe(1);
});
