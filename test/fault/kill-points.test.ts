// Goal: kill -9 at any call to the disk of a store's life, from its making to its close, leaves everything that was
// acknowledged and a store that opens. Method: strace kills the program as it enters the n-th call of a kind, for every n
// until it comes to its end; the call is not carried out. A commit writes pages (writev or pwrite64), syncs them
// (fdatasync), writes the root page (pwrite64), and tells the waiting (write).
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { needs } from '../tools.ts';
import { ImageCheckers } from './power-cut/image-checkers.ts';
import { EXPECTATION_FILE } from './power-cut/image-names.ts';
import type { Said } from './power-cut/said.ts';
import { STEPS, saidOf } from './store-life.ts';
import type { Step } from './store-life.ts';

const PROGRAM = join(import.meta.dirname, '../../dist/test/fault/store-life.js');
const LAYOUTS: readonly LmdbLayout[] = ['shared', 'perShard'];
/** As strace names them; not every machine has both of a kind. */
const CALLS = {
  pwrite64: 'pwrite64',
  writev: 'writev',
  fdatasync: 'fdatasync',
  fsync: 'fsync',
  ftruncate: 'ftruncate',
  link: '?link,?linkat',
  unlink: '?unlink,?unlinkat',
} as const;
type Call = keyof typeof CALLS;
/** Commits repeat each other: every so manieth call of them is enough, and all of them at night. */
const STRIDE = process.env['NIGHTLY'] === 'true' ? 1 : 3;
/** No step makes as many of one kind; a program that is always killed has no end. */
const KILLS_MAX = 200;
const AT_ONCE = 2;

let folder = '';
let checkers = new ImageCheckers(0);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-kill-points-'));
  checkers = new ImageCheckers(AT_ONCE);
});
afterAll(() => {
  checkers.close();
  rmSync(folder, { recursive: true, force: true });
});

describe.each(LAYOUTS)('a store killed at a call to the disk (layout %s)', (layout) => {
  it.for(STEPS)('while it is in step %s', { timeout: 600_000 }, async (step, context) => {
    needs(context, 'strace');
    const before = await storeBefore(layout, step);
    const kills: Record<string, number> = {};
    const problems: string[] = [];
    const queue = Object.keys(CALLS) as Call[];
    const work = async (): Promise<void> => {
      for (let call = queue.shift(); call !== undefined; call = queue.shift()) {
        const { killed, wrong } = await sweep(layout, step, before, call);
        kills[call] = killed;
        problems.push(...wrong);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    expect(problems).toEqual([]);
    for (const call of ['pwrite64', 'fdatasync']) expect(kills[call]).toBeGreaterThan(0);
    if (step === 'make') expect(kills).toMatchObject({ fsync: expect.any(Number), link: 1 });
  });
});

/** An earlier run's folder for the steps that go on with one; null for the first. */
async function storeBefore(layout: LmdbLayout, step: Step): Promise<string | null> {
  if (step === 'make') return null;
  const data = join(folder, `${layout}-${step}-before`);
  mkdirSync(data);
  expect(await runStep(data, join(folder, 'said'), layout, 'close', [])).toBe(0);
  return data;
}

/** Kills at the n-th call for every n there is. */
async function sweep(
  layout: LmdbLayout,
  step: Step,
  before: string | null,
  call: Call,
): Promise<{ killed: number; wrong: string[] }> {
  const wrong: string[] = [];
  const stride = step === 'append' ? STRIDE : 1;
  let killed = 0;
  for (let nth = 1; nth < KILLS_MAX; nth += stride) {
    const data = join(folder, `${layout}-${step}-${call}-${nth}`);
    const said = `${data}-said`;
    if (before === null) mkdirSync(data);
    else cpSync(before, data, { recursive: true });
    const inject = ['-e', `trace=${CALLS[call]}`, '-e', `inject=${CALLS[call]}:signal=SIGKILL:when=${nth}`];
    const end = await runStep(data, said, layout, step, inject);
    if (end === 'SIGKILL') {
      killed += 1;
      writeFileSync(join(data, EXPECTATION_FILE), JSON.stringify(expectationOf(said, layout)));
      const found = await checkers.check(data);
      wrong.push(...found.map((text) => `killed at ${call} ${nth} of step ${step}: ${text}`));
    } else if (end !== 0) wrong.push(`step ${step} with a kill at ${call} ${nth} ended with ${end}`);
    rmSync(data, { recursive: true });
    if (end !== 'SIGKILL') break;
  }
  return { killed, wrong };
}

/** At least what was said; at most what the program may have had under way. */
function expectationOf(said: string, layout: LmdbLayout): { before: Said | null; behind: Said } {
  const lines = readFileSync(said, 'utf8').trim().split('\n').filter(Boolean);
  const last = lines.at(-1);
  const before = last === undefined ? null : (JSON.parse(last) as Said);
  return { before, behind: saidOf(layout, 'open', 0, Number.MAX_SAFE_INTEGER) };
}

/** One thread for commits, so that the n-th call is the same one in every run. */
function runStep(
  data: string,
  said: string,
  layout: LmdbLayout,
  step: Step,
  inject: readonly string[],
): Promise<number | NodeJS.Signals | null> {
  writeFileSync(said, '');
  const program = [process.execPath, PROGRAM, data, said, layout, step];
  const [command = '', ...rest] =
    inject.length === 0 ? program : ['strace', '-f', '-qq', ...inject, '-o', '/dev/null', ...program];
  const child = spawn(command, rest, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve(code ?? signal));
  });
}
