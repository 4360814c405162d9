// Goal: a line that was read becomes durable, in order and once, whatever the disk says meanwhile. Method: the real
// intake on a log that a test holds and fails.
import { once, EventEmitter } from 'node:events';
import { describe, expect, it } from 'vitest';
import { builtInProfiles } from '../../devices/built-in-profiles.ts';
import { Intake } from '../../gateway/intake.ts';
import { LineSpool } from '../../gateway/serial/line-spool.ts';
import type { SpoolLimits } from '../../gateway/serial/line-spool.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { TributaryError } from '../../stream/errors.ts';
import { until } from './mqtt-rig.ts';

class FakeLog extends EventEmitter {
  readonly appends: string[][] = [];
  readonly durable: { stream: string; text: string }[] = [];
  /** Errors of the next appends, then none. */
  failures: TributaryError[] = [];
  held: Promise<void> | null = null;

  async append({ stream }: { stream: string }, records: readonly { data: Uint8Array }[]): Promise<void> {
    const texts = records.map(({ data }) => Buffer.from(data).toString());
    this.appends.push(texts);
    this.emit('append');
    await this.held;
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    this.durable.push(...texts.map((text) => ({ stream, text })));
  }
}

let wallMs = 1_000;

function openSpool(limits: Partial<SpoolLimits> = {}, profile = 'raw') {
  const log = new FakeLog();
  const intake = new Intake({
    log,
    routes: [],
    profiles: builtInProfiles(nodeDigest),
    clock: { wallMs: () => wallMs, monotonicUs: () => 0n },
    digest: nodeDigest,
  });
  const events: string[] = [];
  const spool = new LineSpool(
    intake,
    { source: { kind: 'serial', name: '/dev/tty:1' }, profile },
    { pendingLinesMax: 100, pendingBytesMax: 10_000, retryMinMs: 1, retryMaxMs: 4, ...limits },
    {
      durable: (records) => events.push(`durable ${records}`),
      failed: (_error, attempt) => events.push(`failed ${attempt}`),
      recovered: (attempts) => events.push(`recovered ${attempts}`),
    },
  );
  return { log, spool, events };
}

const lines = (...texts: string[]): Uint8Array[] => texts.map((text) => Buffer.from(text));
const full = new TributaryError('STORAGE_FULL', 'full');

describe('LineSpool', () => {
  it('appends lines in order, those that waited together', async () => {
    const { log, spool } = openSpool();
    let letGo: () => void = () => undefined;
    log.held = new Promise((resolve) => {
      letGo = resolve;
    });
    spool.push(lines('1'));
    spool.push(lines('2', '3'));
    spool.push(lines('4'));
    letGo();
    expect(await spool.close(1_000)).toBe(0);
    expect(log.appends).toEqual([['1'], ['2', '3', '4']]);
  });

  it('tries a failed append again until it is durable, before anything that came after it', async () => {
    const { log, spool, events } = openSpool();
    log.failures = [full, new TributaryError('BUSY', 'busy'), full];
    spool.push(lines('1', '2'));
    spool.push(lines('3'));
    await until(() => log.durable.length === 3);
    expect(log.durable.map(({ text }) => text)).toEqual(['1', '2', '3']);
    expect(log.appends).toEqual([['1', '2'], ['1', '2'], ['1', '2'], ['1', '2'], ['3']]);
    expect(events).toEqual(['failed 1', 'failed 2', 'failed 3', 'recovered 4', 'durable 2', 'durable 1']);
    expect(spool.lines).toBe(0);
  });

  it('keeps a failed stream from doubling another: records and quarantine are appended apart', async () => {
    const { log, spool } = openSpool({}, 'json');
    log.failures = [full];
    spool.push(lines('{"t":1}', 'no json', '{"t":2}'));
    await until(() => log.durable.length === 3);
    expect(log.durable.map(({ stream }) => stream)).toEqual([
      'telemetry',
      'telemetry',
      'telemetry.quarantine',
    ]);
    expect(log.appends).toHaveLength(3);
  });

  it('gives a reading the time it came in at, not the time the disk had room', async () => {
    const { log, spool } = openSpool({}, 'json');
    log.failures = [full, full, full];
    wallMs = 5_000;
    spool.push(lines('{"t":1}'));
    wallMs = 9_000;
    await until(() => log.durable.length === 1);
    expect(JSON.parse(log.durable[0]?.text ?? '')).toMatchObject({ ts: 5_000 });
  });

  it.each([
    ['lines', { pendingLinesMax: 4 }],
    ['bytes', { pendingBytesMax: 4 }],
  ])('is full at its maximum of %s and has room again at half of it', async (_name, limits) => {
    const { log, spool } = openSpool(limits);
    const releases: (() => void)[] = [];
    const next = (): void => {
      log.held = new Promise((resolve) => releases.push(resolve));
    };
    next();
    spool.push(lines('1'));
    spool.push(lines('2', '3', '4'));
    expect(spool.isFull).toBe(true);
    let hasRoom = false;
    const room = spool.whenRoom().then(() => {
      hasRoom = true;
    });
    next();
    const second = once(log, 'append');
    releases[0]?.();
    await second;
    expect(spool.isFull).toBe(false);
    expect(hasRoom).toBe(false);
    releases[1]?.();
    await room;
    expect(await spool.close(1_000)).toBe(0);
  });

  it('tells what was not durable in time when it is closed', async () => {
    const { log, spool } = openSpool();
    log.failures = Array.from({ length: 10_000 }, () => full);
    spool.push(lines('1', '2'));
    const room = spool.whenRoom();
    expect(await spool.close(20)).toBe(2);
    await room;
    const tries = log.appends.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(log.appends).toHaveLength(tries);
  });
});
