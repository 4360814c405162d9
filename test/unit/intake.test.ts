// Goal: every payload ends as records, in quarantine or as an error its sender sees; in order, on its route. Method: the
// real intake on a log that only notes what it is given.
import { describe, expect, it } from 'vitest';
import { builtInProfiles } from '../../devices/built-in-profiles.ts';
import { QUARANTINE_PAYLOAD_BYTES_MAX } from '../../devices/profile.ts';
import type { Profile } from '../../devices/profile.ts';
import { Intake } from '../../gateway/intake.ts';
import type { Route } from '../../gateway/routes.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { RECORD_BYTES_MAX } from '../../stream/limits.ts';
import type { MetaChange } from '../../stream/ports.ts';
import type { RecordInput } from '../../stream/record.ts';

interface Append {
  readonly stream: string;
  readonly class: string;
  readonly records: readonly RecordInput[];
  readonly changes: readonly MetaChange[];
  readonly forward: boolean;
}

const nothing: Profile = { name: 'nothing', decode: () => ({ kind: 'records', records: [] }) };

function openIntake(routes: readonly Partial<Route>[] = []) {
  const appends: Append[] = [];
  const control = { held: Promise.resolve(), failing: false };
  const intake = new Intake({
    log: {
      append: async (lane, records, { side = [] }) => {
        appends.push({ ...lane, records, changes: side });
        await control.held;
        if (control.failing) throw new Error('disk');
      },
    },
    routes: routes.map((route) => ({ match: '#', stream: 's', class: 'normal', forward: true, ...route })),
    profiles: new Map([...builtInProfiles(nodeDigest), [nothing.name, nothing]]),
    clock: { wallMs: () => 42, monotonicUs: () => 0n },
    digest: nodeDigest,
  });
  return { intake, appends, control };
}

const topic = (name: string) => ({ kind: 'mqtt', name }) as const;
const bytes = (text: string): Uint8Array => Buffer.from(text);
const texts = (append: Append | undefined): string[] =>
  (append?.records ?? []).map(({ data }) => Buffer.from(data).toString());

describe('Intake', () => {
  it('appends in the order of the calls, each before any is durable', async () => {
    const { intake, appends, control } = openIntake();
    let letGo: () => void = () => undefined;
    control.held = new Promise((resolve) => {
      letGo = resolve;
    });
    const calls = ['1', '2', '3'].map((text) => intake.accept({ source: topic('a'), payload: bytes(text) }));
    expect(appends.map((append) => texts(append)[0])).toEqual(['1', '2', '3']);
    expect(intake.counts.records).toBe(0);
    letGo();
    await Promise.all(calls);
    expect(intake.counts).toMatchObject({ records: 3, quarantined: 0 });
  });

  it('gives the log stream, class, whether to forward, and what must be durable beside it', async () => {
    const { intake, appends } = openIntake([
      { match: 'alarm/#', stream: 'alarms', class: 'alarm' },
      { match: 'local/#', stream: 'here', class: 'bulk', forward: false },
    ]);
    const side = [{ key: 'k', value: bytes('v') }];
    for (const name of ['alarm/1', 'local/1', 'other']) {
      await intake.accept({ source: topic(name), payload: bytes('x'), side });
    }
    expect(appends.map(({ stream, class: recordClass, forward }) => [stream, recordClass, forward])).toEqual([
      ['alarms', 'alarm', true],
      ['here', 'bulk', false],
      ['telemetry', 'normal', true],
    ]);
    expect(appends.every(({ changes }) => changes === side)).toBe(true);
  });

  it('prefers the profile of the route to that of the source', async () => {
    const { intake, appends } = openIntake([{ match: 'raw/#', profile: 'raw' }]);
    await intake.accept({ source: topic('raw/1'), payload: bytes('{"a":1}'), profile: 'json' });
    await intake.accept({ source: topic('x'), payload: bytes('{"a":1}'), profile: 'json' });
    expect(texts(appends[0])).toEqual(['{"a":1}']);
    expect(texts(appends[1])).toEqual(['{"ts":42,"device":"x","v":{"a":1}}']);
  });

  it('puts what a profile cannot decode into quarantine, whole, with what is beside it', async () => {
    const { intake, appends } = openIntake([
      { profile: 'json', stream: 'plant', class: 'alarm', forward: false },
    ]);
    const payload = new Uint8Array(QUARANTINE_PAYLOAD_BYTES_MAX).fill(0xfe);
    const side = [{ key: 'k', value: null }];
    await intake.accept({ source: topic('a'), payload, side });
    expect(appends[0]).toMatchObject({
      stream: 'plant.quarantine',
      class: 'alarm',
      forward: false,
      changes: side,
    });
    const record = JSON.parse(texts(appends[0])[0] ?? '') as { payload: string };
    expect(record).toMatchObject({ source: 'a', ts: 42, reason: expect.stringContaining('bytes') });
    expect(Buffer.from(record.payload, 'base64').equals(payload)).toBe(true);
    expect(intake.counts).toMatchObject({ records: 0, quarantined: 1 });
  });

  it.each([
    ['a record', 'raw', RECORD_BYTES_MAX],
    ['a payload for quarantine', 'json', QUARANTINE_PAYLOAD_BYTES_MAX + 1],
  ])('refuses %s that cannot be kept whole: nothing of it is kept', async (_name, profile, length) => {
    const { intake, appends } = openIntake([{ profile }]);
    await expect(
      intake.accept({ source: topic('a'), payload: new Uint8Array(length) }),
    ).rejects.toMatchObject({
      code: 'RECORD_TOO_LARGE',
      message: expect.stringContaining(String(length)),
    });
    expect(appends).toEqual([]);
  });

  it('takes a record of just the maximum', async () => {
    const { intake, appends } = openIntake();
    await intake.accept({ source: topic('a'), payload: new Uint8Array(RECORD_BYTES_MAX - 1) });
    expect(appends).toHaveLength(1);
  });

  it('appends nothing when a profile finds nothing', async () => {
    const { intake, appends } = openIntake([{ profile: 'nothing' }]);
    await intake.accept({ source: topic('a'), payload: bytes('x'), side: [{ key: 'k', value: null }] });
    expect(appends).toEqual([]);
  });

  it('passes the error of the log on and counts nothing', async () => {
    const { intake, control } = openIntake();
    control.failing = true;
    await expect(intake.accept({ source: topic('a'), payload: bytes('x') })).rejects.toThrow('disk');
    expect(intake.counts).toEqual({ records: 0, quarantined: 0, payloadBytes: 0 });
  });

  it('refuses an unknown profile: of a route at start, of a source when it comes', async () => {
    expect(() => openIntake([{ profile: 'nonsense' }])).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('raw, json') }),
    );
    const { intake } = openIntake();
    await expect(
      intake.accept({ source: topic('a'), payload: bytes('x'), profile: 'nonsense' }),
    ).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('makes the topic the key, a long one by its MD5', async () => {
    const { intake, appends } = openIntake();
    const long = 'x'.repeat(300);
    await intake.accept({ source: topic('short'), payload: bytes('') });
    await intake.accept({ source: topic(long), payload: bytes('') });
    const keys = appends.map(({ records }) => records[0]?.partitionKey);
    const md5 = nodeDigest.md5Hex(long);
    expect(keys).toEqual(['short', `${'x'.repeat(223)}#${md5}`]);
  });

  it('does not confuse a serial port with a topic of the same name', async () => {
    const { intake, appends } = openIntake([{ match: 'serial:/dev/tty', stream: 'port' }]);
    await intake.accept({ source: { kind: 'serial', name: '/dev/tty' }, payload: bytes('x') });
    await intake.accept({ source: topic('/dev/tty'), payload: bytes('x') });
    expect(appends.map(({ stream }) => stream)).toEqual(['port', 'telemetry']);
  });
});
