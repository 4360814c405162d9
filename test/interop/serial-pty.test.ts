// Goal: lines of a real terminal device become records, in order, through back-pressure, unplugging and plugging in.
// Method: pseudo-terminals of socat and script; unplugging is the end of socat, plugging in another one on the same link.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { builtInProfiles } from '../../devices/built-in-profiles.ts';
import { Intake } from '../../gateway/intake.ts';
import { SerialReader } from '../../gateway/serial/serial-reader.ts';
import type { SerialOptions } from '../../gateway/serial/serial-options.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { MetricsRegistry } from '../../runtime/metrics.ts';
import { TributaryError } from '../../stream/errors.ts';
import { needs } from '../tools.ts';
import { metricOf, until } from '../unit/mqtt-rig.ts';

let folder = '';
const children: ChildProcess[] = [];
const readers: SerialReader[] = [];
const writers: FileHandle[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-serial-'));
});
afterEach(async () => {
  await Promise.all(readers.splice(0).map((reader) => reader.close()));
  await Promise.all(writers.splice(0).map((writer) => writer.close().catch(() => undefined)));
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** Two terminals joined; the link of the gateway's side. */
async function plug(link: string): Promise<{ far: FileHandle; unplug: () => Promise<void> }> {
  const far = `${link}-far`;
  const child = spawn('socat', [`pty,raw,echo=0,link=${link}`, `pty,raw,echo=0,link=${far}`], {
    stdio: 'ignore',
  });
  children.push(child);
  await until(() => existsSync(link) && existsSync(far));
  const writer = await open(far, 'r+');
  writers.push(writer);
  const unplug = async (): Promise<void> => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
    await writer.close();
    writers.splice(writers.indexOf(writer), 1);
    await until(() => !existsSync(link));
  };
  return { far: writer, unplug };
}

function logBelow() {
  const texts: string[] = [];
  const gate: { held: Promise<void> | null; failing: boolean; appends: number } = {
    held: null,
    failing: false,
    appends: 0,
  };
  const append = async (_lane: object, records: readonly { data: Uint8Array }[]): Promise<void> => {
    gate.appends += 1;
    await gate.held;
    if (gate.failing) throw new TributaryError('STORAGE_FULL', 'full');
    texts.push(...records.map(({ data }) => Buffer.from(data).toString()));
  };
  return { texts, gate, append };
}

async function read(options: Partial<SerialOptions> & { path: string }) {
  const log = logBelow();
  const metrics = new MetricsRegistry();
  const lines: { event: string; path: string; fix?: string }[] = [];
  const intake = new Intake({
    log,
    routes: [],
    profiles: builtInProfiles(nodeDigest),
    clock: systemClock,
    digest: nodeDigest,
  });
  const write = (line: string): void => void lines.push(JSON.parse(line) as { event: string; path: string });
  const reader = await SerialReader.open(
    {
      baudRate: 115_200,
      profile: 'raw',
      reconnectMinMs: 10,
      reconnectMaxMs: 20,
      checkMs: 10,
      retryMinMs: 1,
      ...options,
    },
    { intake, log: openLog('serial', { level: 'debug', write }), metrics, clock: systemClock },
  );
  readers.push(reader);
  return { reader, ...log, lines, metric: (name: string) => metricOf(metrics, name) };
}

describe('a port of socat', () => {
  beforeEach((context) => needs(context, 'socat'));

  it.each([115_200, 9_600, 74_880])('gives its lines in order at %i baud', async (baudRate) => {
    const path = join(folder, 'tty');
    const { far } = await plug(path);
    const { reader, texts } = await read({ path, baudRate });
    await until(() => reader.status.state === 'open');
    await far.write('one\r\ntwo\n\nthree\rfo');
    await far.write('ur\n');
    await until(() => texts.length === 4);
    expect(texts).toEqual(['one', 'two', 'three', 'four']);
    expect(reader.status).toMatchObject({ path, state: 'open', records: 4, pendingLines: 0 });
  });

  it('is found when it is plugged in, again and again; an unfinished line is dropped', async () => {
    const path = join(folder, 'tty');
    const { reader, texts, lines, metric } = await read({ path });
    await until(() => reader.status.state === 'missing');
    for (const round of [1, 2, 3]) {
      const { far, unplug } = await plug(path);
      await until(() => reader.status.state === 'open');
      await far.write(`round ${round}\nunfinished`);
      await until(() => texts.length === round);
      await unplug();
      await until(() => reader.status.state === 'missing');
    }
    expect(texts).toEqual(['round 1', 'round 2', 'round 3']);
    const changes = lines.map(({ event }) => event).filter((event) => event.startsWith('port'));
    const round = ['port open', 'port unplugged', 'port missing'];
    expect(changes).toEqual(['port missing', ...round, ...round, ...round]);
    expect(metric(`serial_state_changes_total{path=${JSON.stringify(path)},state="open"}`)).toBe(3);
  });

  it('is let go and opened again when the link leads to another device', async () => {
    const path = join(folder, 'tty');
    const first = join(folder, 'first');
    const second = join(folder, 'second');
    await plug(first);
    const { far } = await plug(second);
    symlinkSync(readlinkSync(first), path);
    const { reader, texts } = await read({ path });
    await until(() => reader.status.state === 'open');
    rmSync(path);
    await until(() => reader.status.state === 'missing');
    symlinkSync(readlinkSync(second), path);
    await until(() => reader.status.state === 'open');
    await far.write('moved\n');
    await until(() => texts.length === 1);
    expect(texts).toEqual(['moved']);
  });

  it('is locked: a second reader waits until the first lets go', async () => {
    const path = join(folder, 'tty');
    await plug(path);
    const first = await read({ path });
    await until(() => first.reader.status.state === 'open');
    const second = await read({ path });
    await until(() => second.reader.status.state === 'busy');
    expect(second.lines.find(({ event }) => event === 'port busy')?.fix).toContain('fuser');
    await first.reader.close();
    await until(() => second.reader.status.state === 'open');
  });

  it('is not read while the disk is behind, and loses nothing by that', async () => {
    const path = join(folder, 'tty');
    const { far } = await plug(path);
    const { reader, texts, gate } = await read({ path, pendingLinesMax: 50 });
    await until(() => reader.status.state === 'open');
    let letGo: () => void = () => undefined;
    gate.held = new Promise((resolve) => {
      letGo = resolve;
    });
    const sent = Array.from({ length: 5_000 }, (_, number) => `line ${number}`);
    const writing = far.write(`${sent.join('\n')}\n`);
    await until(() => reader.status.pendingLines >= 50);
    // A full turn of the reader later it still holds no more than one read on top.
    for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
    expect(reader.status.pendingLines).toBeLessThan(50 + 4_096 / 7);
    letGo();
    await writing;
    await until(() => texts.length === sent.length);
    expect(texts).toEqual(sent);
  });

  it('keeps what it read through a full disk, in order', async () => {
    const path = join(folder, 'tty');
    const { far } = await plug(path);
    const { reader, texts, gate, lines } = await read({ path });
    await until(() => reader.status.state === 'open');
    gate.failing = true;
    await far.write('1\n2\n');
    await until(() => gate.appends >= 3);
    await far.write('3\n');
    await until(() => reader.status.pendingLines === 3);
    gate.failing = false;
    await until(() => texts.length === 3);
    expect(texts).toEqual(['1', '2', '3']);
    expect(lines.filter(({ event }) => event === 'append failed')).toHaveLength(1);
    expect(lines.filter(({ event }) => event === 'append recovered')).toHaveLength(1);
  });

  it('a close waits for what was read', async () => {
    const path = join(folder, 'tty');
    const { far } = await plug(path);
    const { reader, texts, gate } = await read({ path });
    await until(() => reader.status.state === 'open');
    let letGo: () => void = () => undefined;
    gate.held = new Promise((resolve) => {
      letGo = resolve;
    });
    await far.write('1\n2\nunfinished');
    await until(() => reader.status.pendingLines === 2);
    const closing = reader.close();
    expect(reader.close()).toBe(closing);
    letGo();
    await closing;
    expect(texts).toEqual(['1', '2']);
    expect(reader.status.state).toBe('closed');
  });
});

it('a path that is no terminal is named as that, and stays looked at', async () => {
  const { reader, lines } = await read({ path: '/dev/null' });
  await until(() => reader.status.state === 'not_serial');
  expect(lines).toMatchObject([{ event: 'port not serial', path: '/dev/null' }]);
});

it('an unknown profile is refused at once', async () => {
  await expect(read({ path: '/dev/null', profile: 'nonsense' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
  });
});

it('a terminal of script gives its lines', async (context) => {
  needs(context, 'script');
  const child = spawn('script', ['-q', '-c', 'tty; exec sleep 1000', '/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  children.push(child);
  const [first] = (await once(child.stdout, 'data')) as [Buffer];
  const path = first.toString().trim();
  const { reader, texts } = await read({ path });
  await until(() => reader.status.state === 'open');
  child.stdin.write('hello\nworld\n');
  await until(() => texts.length === 2);
  expect(texts).toEqual(['hello', 'world']);
});
