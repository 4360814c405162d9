// Goal: whatever the disk does, the gateway acknowledges nothing that is not on it, says what is wrong, ends with 75 when
// the disk failed and goes on by itself when it was only full. Method: the real program and mosquitto_pub; strace makes
// calls fail or slow, a small tmpfs is full or read-only.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { TestContext } from 'vitest';
import { runCli, startGateway, stopAll, temporaryFolder } from '../processes.ts';
import type { RunningGateway } from '../processes.ts';
import { needs } from '../tools.ts';
import { Publisher } from './publisher.ts';
import { storedNumbers } from './stored-numbers.ts';

const DISK_BYTES = 24 * 1024 * 1024;
const FILLER_BYTES = 64 * 1024;
const EXIT_STORAGE_FAILED = 75;
/** All that reach the disk. */
const CALLS = 'fdatasync,writev,pwrite64';
/** The call of this number fails, and every later one: the gateway has started and has published by then. */
const FAILS_FROM = 40;

const publishers: Publisher[] = [];
const mounts: string[] = [];
afterEach(async () => {
  for (const publisher of publishers.splice(0)) publisher.stop();
  await stopAll();
  for (const mount of mounts.splice(0)) {
    tryRun('umount', [mount]);
    rmSync(mount, { recursive: true, force: true });
  }
});

describe('a disk that fails under a gateway', () => {
  it.for([
    ['EIO when pages are synced', 'fdatasync', 'EIO', FAILS_FROM],
    ['EIO when pages are written', 'writev', 'EIO', FAILS_FROM],
    // Of two calls in a row one may write the root page.
    ['EIO when a page or the root page is written', 'pwrite64', 'EIO', FAILS_FROM],
    ['EIO when the root page or a page is written', 'pwrite64', 'EIO', FAILS_FROM + 1],
    // What a kernel does to a file system it found damaged: open files stay open, and nothing can be written.
    ['EROFS when it was mounted read-only', CALLS, 'EROFS', FAILS_FROM],
  ] as const)(
    '%s: nothing more is acknowledged, it says why and ends with 75',
    async ([, calls, error, from], context) => {
      needs(context, 'strace', 'mosquitto_pub');
      const data = temporaryFolder('gateway');
      const trace = join(temporaryFolder('trace'), 'trace');
      // Only of the store: sockets are written to with the same calls.
      const where = ['-P', join(data, 'gateway.mdb'), '-o', trace];
      const inject = ['-e', `trace=${CALLS}`, '-e', `inject=${calls}:error=${error}:when=${from}+`];
      const gateway = await startUnderStrace([...where, ...inject], data);
      const publisher = publish(gateway);
      await feedUntil(publisher, gateway.ended);
      expect(await gateway.ended).toEqual({ code: EXIT_STORAGE_FAILED, signal: null });
      expect(said(gateway, 'the disk failed; ended so that a new start can recover')).toBe(true);
      expect(said(gateway, 'ended by an error that nobody handled')).toBe(false);
      // Never tried again: a disk may say yes the second time and have forgotten what it was given.
      expect(callsBehindFailure(trace)).toEqual([]);
      const { acknowledged } = publisher;
      expect(acknowledged.length).toBeGreaterThan(0);
      await checkAfterRestart(gateway, acknowledged);
    },
  );

  it('is slow: what it acknowledged is there after kill -9, once and in order', async (context) => {
    needs(context, 'strace', 'mosquitto_pub');
    const gateway = await startUnderStrace([
      '-e',
      'trace=fdatasync',
      '-e',
      'inject=fdatasync:delay_exit=15000',
    ]);
    const publisher = publish(gateway);
    publisher.write(300);
    while (publisher.acknowledged.length < 50) {
      publisher.write(1);
      await sleep(5);
    }
    const kept = publisher.acknowledged;
    await gateway.kill('SIGKILL');
    const stored = await storedNumbers(gateway.data);
    expect(stored).toEqual(stored.map((_, index) => index));
    expect(stored.length).toBeGreaterThan(kept.at(-1) ?? 0);
    const again = await gateway.restart();
    publisher.end();
    expect(await publisher.ended).toBe(0);
    expect((await again.kill('SIGTERM')).code).toBe(0);
    expect(await storedNumbers(gateway.data)).toEqual(
      Array.from({ length: publisher.written }, (_, index) => index),
    );
  });
});

describe('a small disk under a gateway', () => {
  it('is full: publishes are refused, all else answers, and it goes on when there is room', async (context) => {
    needs(context, 'mosquitto_pub');
    const disk = mountSmall(context);
    const gateway = await startGateway({ data: join(disk, 'data') });
    const publisher = publish(gateway);
    publisher.write(30);
    while (publisher.acknowledged.length < 30) await sleep(10);
    const fillers = fill(disk);
    publisher.write(10);
    while (!gateway.stderr().includes('storage_full')) await sleep(10);
    // It has come again by then, and was refused again.
    await sleep(1_500);
    expect(publisher.acknowledged).toHaveLength(30);
    for (const page of ['status', 'metrics', 'healthz']) {
      expect((await fetch(`${gateway.statusUrl}/${page}`)).status, page).toBe(200);
    }
    for (const filler of fillers) rmSync(filler);
    while (publisher.acknowledged.length < 40) await sleep(10);
    publisher.end();
    expect(await publisher.ended).toBe(0);
    expect(said(gateway, 'ended by an error that nobody handled')).toBe(false);
    expect(await gateway.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    expect(await storedNumbers(gateway.data)).toEqual(Array.from({ length: 40 }, (_, index) => index));
  });

  it('is read-only at the start: it says so, changes nothing, and starts when it is not', async (context) => {
    needs(context, 'mosquitto_pub');
    const disk = mountSmall(context);
    const gateway = await startGateway({ data: join(disk, 'data') });
    const publisher = publish(gateway);
    publisher.write(5);
    publisher.end();
    expect(await publisher.ended).toBe(0);
    await gateway.kill('SIGKILL');
    execFileSync('mount', ['-o', 'remount,ro', disk]);
    const refused = await runCli([
      'gateway',
      '--data',
      gateway.data,
      '--mqtt-port',
      '0',
      '--status-port',
      '0',
    ]);
    expect(refused).toMatchObject({ code: 2, signal: null });
    expect(refused.stderr).toContain(
      `the data folder ${gateway.data} cannot be locked (EROFS); it must be writable`,
    );
    execFileSync('mount', ['-o', 'remount,rw', disk]);
    await checkAfterRestart(gateway, [0, 1, 2, 3, 4]);
  });
});

/** One thread for commits, so that the n-th call is counted over all of them. */
function startUnderStrace(
  parameters: readonly string[],
  data = temporaryFolder('gateway'),
): Promise<RunningGateway> {
  return startGateway({
    data,
    // As a grandchild: the child is the gateway itself, with its signals and its exit code.
    wrapper: ['strace', '-D', '-f', '-qq', ...parameters],
    env: { UV_THREADPOOL_SIZE: '1' },
  });
}

/** Calls to the store's file after the first that failed, but for the engine's attempt to take the root page back. */
function callsBehindFailure(trace: string): string[] {
  const calls = readFileSync(trace, 'utf8').trim().split('\n');
  const failed = calls.findIndex((call) => call.includes('(INJECTED)'));
  expect(failed).toBeGreaterThanOrEqual(0);
  return calls.slice(failed + 1).filter((call) => !/pwrite64\(.*, 128, (40|4136)\)/.test(call));
}

function publish(gateway: RunningGateway): Publisher {
  const publisher = new Publisher(gateway.mqttPort, 'sensors/a');
  publishers.push(publisher);
  return publisher;
}

/** Line by line, so that there are many commits. */
async function feedUntil(publisher: Publisher, ended: Promise<unknown>): Promise<void> {
  let isOver = false;
  void ended.then(() => {
    isOver = true;
  });
  while (!isOver) {
    publisher.write(1);
    await sleep(5);
  }
  publisher.stop();
  await publisher.ended;
}

/** A new start on the same folder has all of them, in order and once, and takes more. */
async function checkAfterRestart(gateway: RunningGateway, acknowledged: readonly number[]): Promise<void> {
  const again = await startGateway({ data: gateway.data });
  const more = new Publisher(again.mqttPort, 'sensors/more');
  publishers.push(more);
  more.write(1);
  more.end();
  expect(await more.ended).toBe(0);
  expect(await again.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  const stored = (await storedNumbers(gateway.data)).slice(0, -1);
  expect(stored).toEqual(stored.map((_, index) => index));
  expect(stored).toEqual(expect.arrayContaining([...acknowledged]));
}

function said(gateway: RunningGateway, event: string): boolean {
  return gateway.events().some((line) => line['event'] === event);
}

function mountSmall(context: TestContext): string {
  const disk = mkdtempSync(join(tmpdir(), 'tributary-disk-'));
  mounts.push(disk);
  if (!tryRun('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', disk])) {
    context.skip('mounting a small file system needs root');
  }
  mkdirSync(join(disk, 'data'));
  return disk;
}

/** To the last byte. */
function fill(disk: string): string[] {
  const fillers: string[] = [];
  try {
    for (;;) {
      const filler = join(disk, `filler-${fillers.length}`);
      fillers.push(filler);
      writeFileSync(filler, Buffer.alloc(FILLER_BYTES));
    }
  } catch {
    return fillers;
  }
}

function tryRun(command: string, parameters: readonly string[]): boolean {
  try {
    execFileSync(command, parameters, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
