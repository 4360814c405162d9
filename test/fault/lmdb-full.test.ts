// Goal: a full or failing disk loses nothing that was acknowledged, is named for what it is, and kills no process.
// Method: a small file system for the full disk; failing system calls, by strace, for the failed one.
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { START_POSITION, positionParts, toPosition } from '../../stream/position.ts';
import type { ShardRef } from '../../stream/ports.ts';
import { systemClock } from '../../runtime/clock.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { allBlocks, block, bytes, hex, outcome, text } from '../contract/engines.ts';
import type { FailureReport } from './lmdb-until-error.ts';
import type { FullReport } from './lmdb-until-full.ts';

const LAYOUTS: readonly LmdbLayout[] = ['shared', 'perShard'];
const REF: ShardRef = { streamId: 's', shardId: '0' };
const DISK_BYTES = 14 * 1024 * 1024;
const ROUNDS = 12;
const UNTIL_FULL = join(import.meta.dirname, '../../dist/test/fault/lmdb-until-full.js');
const UNTIL_ERROR = join(import.meta.dirname, '../../dist/test/fault/lmdb-until-error.js');

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-full-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const big = (name: string) => block(1, `${name} ${'x'.repeat(300_000)}`);

describe.each(LAYOUTS)('a full disk (layout %s)', (layout) => {
  let isMounted = false;
  beforeEach(() => {
    isMounted = tryRun('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', folder]);
  });
  afterEach(() => {
    if (isMounted) tryRun('umount', [folder]);
  });

  it('refuses with STORAGE_FULL, again and again, and accepts when there is room', async (context) => {
    if (!isMounted) context.skip('mounting a small file system needs root');
    const store = await openLmdbStore({ path: join(folder, 'log.mdb'), clock: systemClock, layout });
    await store.log.createShard(REF, { retentionMs: Infinity });
    const ballast = join(folder, 'ballast');
    writeFileSync(ballast, new Uint8Array(4 * 1024 * 1024));
    const stored: string[] = [];
    const refusals: string[] = [];
    for (let index = 0; refusals.length < 5; index += 1) {
      const input = { ...big(`${index}`), with: [{ key: 'last', value: bytes(`${index}`) }] };
      const answers = await Promise.all([
        outcome(store.log.append(REF, input)),
        outcome(store.meta.put(`m${index}`, bytes(''), 'absent')),
      ]);
      const refused = answers.filter((answer) => typeof answer === 'string');
      // Both or none: they were one commit.
      expect(refused.length === 0 || refused.length === 2).toBe(true);
      refusals.push(...refused.slice(0, 1));
      if (refused.length === 0) stored.push(hex(input.block));
    }
    expect(new Set(refusals)).toEqual(new Set(['STORAGE_FULL']));
    expect(await allBlocks(store.log, REF)).toEqual(stored);
    expect(text((await store.meta.get('last'))?.value)).toBe(`${stored.length - 1}`);
    rmSync(ballast);
    const input = big('there is room');
    expect((await store.log.append(REF, input)).first).toBe(toPosition(1n, BigInt(stored.length + 1), 0));
    stored.push(hex(input.block));
    await store.close();
    expect(await verifyFolder(folder)).toMatchObject({ ok: true, records: stored.length });
  });

  it('is survived by trimming, on a disk that stays as it is', async (context) => {
    if (!isMounted) context.skip('mounting a small file system needs root');
    const path = join(folder, 'log.mdb');
    const store = await openLmdbStore({ path, clock: systemClock, layout });
    await store.log.createShard(REF, { retentionMs: Infinity });
    const append = async (name: string) =>
      typeof (await outcome(store.log.append(REF, big(name)))) !== 'string';
    while (await append('fill'));
    for (let round = 0; round < 20; round += 1) {
      const { first } = await store.log.bounds(REF);
      const { commit } = positionParts(first ?? START_POSITION);
      await store.log.trim(REF, toPosition(1n, commit + 2n, 0));
      // The first one may be refused together with the trim; the second one finds the room that the trim made.
      expect((await append(`round ${round}`)) || (await append(`round ${round}`))).toBe(true);
    }
    await store.close();
    const again = await openLmdbStore({ path, clock: systemClock, layout });
    expect((await allBlocks(again.log, REF)).at(-1)).toBe(hex(big('round 19').block));
    await again.close();
    expect(await verifyFolder(folder)).toMatchObject({ ok: true });
  });

  it('ends no program that writes small blocks, many at a time, round after round', async (context) => {
    if (!isMounted) context.skip('mounting a small file system needs root');
    writeFileSync(join(folder, 'ballast'), new Uint8Array(4 * 1024 * 1024));
    const parameters = [UNTIL_FULL, folder, layout, `${ROUNDS}`];
    const { output, code, said } = await ended(spawn(process.execPath, parameters));
    expect({ code, said }).toEqual({ code: 0, said: '' });
    const report = JSON.parse(output) as FullReport;
    expect(report.readable).toEqual(report.acknowledged);
    expect(report.refusals).toBeGreaterThan(ROUNDS);
    expect(Math.min(...report.accepted)).toBeGreaterThan(0);
    expect(await verifyFolder(folder)).toMatchObject({ ok: true, records: report.readable.length });
    const store = await openLmdbStore({ path: join(folder, 'log.mdb'), clock: systemClock, layout });
    await store.close();
  });
});

describe.runIf(tryRun('strace', ['-V']))('a failed disk (needs strace)', () => {
  // fdatasync of a commit's pages; writev writes them; pwrite64 also writes the root page, whose failure the library
  // answers by never answering again.
  it.each(['fdatasync', 'writev', 'pwrite64'])('is not trusted again after EIO of %s', async (call) => {
    const path = join(folder, 'log.mdb');
    const report = await untilError(path, call, 'EIO');
    expect(report.code).toBe('STORAGE_FAILED');
    expect(report.later).toBe('STORAGE_FAILED');
    const store = await openLmdbStore({ path, clock: systemClock });
    const { totalRecords } = await store.log.bounds(REF);
    expect(totalRecords).toBeGreaterThanOrEqual(report.acknowledged);
    await store.close();
    expect(await verifyFolder(folder)).toMatchObject({ ok: true });
  });
});

/** What a writer says whose disk fails from a certain call on. */
async function untilError(path: string, call: string, error: string): Promise<FailureReport> {
  const inject = ['-f', '-qq', '-e', `trace=${call}`, '-e', `inject=${call}:error=${error}:when=40+`];
  const child = spawn('strace', [...inject, '-o', '/dev/null', process.execPath, UNTIL_ERROR, path, '500'], {
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
  });
  const { output, code } = await ended(child);
  expect(code).toBe(0);
  return JSON.parse(output) as FailureReport;
}

async function ended(
  child: ChildProcessWithoutNullStreams,
): Promise<{ output: string; said: string; code: unknown }> {
  let [output, said] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const code = await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exitCode, signal) => resolve(exitCode ?? signal));
  });
  return { output, said, code };
}

function tryRun(command: string, parameters: string[]): boolean {
  try {
    execFileSync(command, parameters, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
