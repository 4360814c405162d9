// Goal: mosquitto's own clients publish to the gateway and subscribe at it, unmodified. Method: the broker on a fake log
// that a test holds, mosquitto_pub and mosquitto_sub as processes.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hashPassword } from '../../gateway/mqtt/users.ts';
import { TributaryError } from '../../stream/errors.ts';
import { needs } from '../tools.ts';
import { openRig, until } from '../unit/mqtt-rig.ts';
import type { Rig } from '../unit/mqtt-rig.ts';

let rig: Rig;
const children = new Set<ChildProcess>();

beforeEach(async (context) => {
  rig = await openRig();
  needs(context, 'mosquitto_pub', 'mosquitto_sub');
});
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
  await rig.close();
});

interface Running {
  readonly child: ChildProcess;
  readonly out: () => string;
  readonly lines: () => string[];
  readonly code: Promise<number | null>;
}

function start(command: string, parameters: readonly string[], input?: string): Running {
  // By lines: into a pipe it would write by kilobytes.
  const line = ['-oL', command, '-h', '127.0.0.1', '-p', String(rig.broker.port), ...parameters];
  const child = spawn('stdbuf', line, { stdio: 'pipe' });
  children.add(child);
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input ?? '');
  const code = once(child, 'close').then(([exit]) => exit as number | null);
  return { child, out: () => text, lines: () => text.split('\n').filter((line) => line !== ''), code };
}

const publish = (parameters: readonly string[], input?: string): Running =>
  start('mosquitto_pub', parameters, input);

/** mosquitto_sub, once it is subscribed. */
async function subscribe(parameters: readonly string[]): Promise<Running> {
  const sub = start('mosquitto_sub', [...parameters, '-d', '-F', 'got %r %q %t %p']);
  await until(() => sub.out().includes('Subscribed'));
  return sub;
}

const got = (sub: Running): string[] => sub.lines().filter((line) => line.startsWith('got '));

describe('mosquitto_pub', () => {
  it.each([0, 1, 2])('publishes one message at QoS %i', async (qos) => {
    const pub = publish(['-q', String(qos), '-t', 'plant/1', '-m', 'hello']);
    expect(await pub.code).toBe(0);
    await rig.intake.whenDurable(1);
    expect(rig.intake.durable).toEqual([{ topic: 'plant/1', text: 'hello' }]);
  });

  it.each([1, 2])('of QoS %i does not end before its record is durable', async (qos) => {
    rig.intake.hold();
    const pub = publish(['-q', String(qos), '-t', 'a', '-m', 'x']);
    await rig.intake.whenCalled(1);
    // Another client's whole conversation fits in between.
    expect(await publish(['-q', '0', '-t', 'b', '-m', 'y']).code).toBe(0);
    expect(pub.child.exitCode).toBeNull();
    rig.intake.release();
    expect(await pub.code).toBe(0);
    expect(rig.intake.texts()).toContain('x');
  });

  it.each([0, 1, 2])('publishes 1000 lines at QoS %i, all durable and in order', async (qos) => {
    const lines = Array.from({ length: 1000 }, (_, number) => `line ${number}`);
    const pub = publish(['-q', String(qos), '-t', 'a', '-l'], `${lines.join('\n')}\n`);
    expect(await pub.code).toBe(0);
    await rig.intake.whenDurable(1000);
    expect(rig.intake.texts()).toEqual(lines);
  });

  it('fails while the disk is full, and then not', async () => {
    rig.intake.failing = new TributaryError('STORAGE_FULL', 'full');
    const message = ['-q', '1', '-t', 'a', '-m', 'x'];
    expect(await publish(message).code).not.toBe(0);
    expect(rig.intake.durable).toEqual([]);
    rig.intake.failing = null;
    expect(await publish(message).code).toBe(0);
    expect(rig.intake.texts()).toEqual(['x']);
    expect(rig.metric('mqtt_refused_total', '{reason="storage_full"}')).toBe(1);
  });

  it('publishes a file of a megabyte', async () => {
    const payload = 'x'.repeat(1024 * 1024);
    expect(await publish(['-q', '1', '-t', 'a', '-s'], payload).code).toBe(0);
    expect(rig.intake.texts()).toEqual([payload]);
  });

  it('is told when its login is wrong', async () => {
    await rig.close();
    rig = await openRig({ users: [{ name: 'plant', passwordHash: await hashPassword('secret') }] });
    expect(await publish(['-q', '1', '-t', 'a', '-m', 'x', '-u', 'plant', '-P', 'secret']).code).toBe(0);
    const wrong = publish(['-q', '1', '-t', 'a', '-m', 'x', '-u', 'plant', '-P', 'no']);
    expect(await wrong.code).not.toBe(0);
    expect(wrong.out()).toContain('bad user name or password');
    expect(rig.intake.texts()).toEqual(['x']);
  });

  it('leaves a will when it is killed', async () => {
    const sub = start('mosquitto_sub', [
      '-t',
      'x',
      '-d',
      '--will-topic',
      'will',
      '--will-payload',
      'dead',
      '--will-qos',
      '1',
    ]);
    await until(() => sub.out().includes('Subscribed'));
    sub.child.kill('SIGKILL');
    await rig.intake.whenDurable(1);
    expect(rig.intake.durable).toEqual([{ topic: 'will', text: 'dead' }]);
  });
});

describe('mosquitto_sub', () => {
  it('gets messages at the lower QoS of both, retained ones marked', async () => {
    expect(await publish(['-q', '1', '-r', '-t', 'a/kept', '-m', 'old']).code).toBe(0);
    const sub = await subscribe(['-q', '1', '-t', 'a/#']);
    for (const qos of [0, 1, 2]) {
      expect(await publish(['-q', String(qos), '-t', 'a/live', '-m', `new ${qos}`]).code).toBe(0);
    }
    await until(() => got(sub).length === 4);
    expect(got(sub)).toEqual([
      'got 1 1 a/kept old',
      'got 0 0 a/live new 0',
      'got 0 1 a/live new 1',
      'got 0 1 a/live new 2',
    ]);
  });

  it('of a session to keep gets what came while it was away', async () => {
    const session = ['-q', '2', '-t', 'a', '-i', 'keeper', '-c'];
    const first = await subscribe(session);
    first.child.kill('SIGTERM');
    await first.code;
    const lines = Array.from({ length: 300 }, (_, number) => String(number));
    expect(await publish(['-q', '2', '-t', 'a', '-l'], `${lines.join('\n')}\n`).code).toBe(0);
    const second = start('mosquitto_sub', [...session, '-F', 'got %p', '-C', '300']);
    expect(await second.code).toBe(0);
    expect(got(second)).toEqual(lines.map((line) => `got ${line}`));
  });

  it('gets all of 1000 from 4 publishers at mixed QoS and RETAIN', async () => {
    const sub = await subscribe(['-q', '2', '-t', 'a/#']);
    const lines = Array.from({ length: 125 }, (_, number) => String(number));
    const kinds = [
      ['-q', '1'],
      ['-q', '2'],
      ['-q', '1', '-r'],
      ['-q', '2', '-r'],
    ];
    const pubs = kinds.flatMap((kind, who) =>
      ['x', 'y'].map((half) => publish([...kind, '-t', `a/${who}${half}`, '-l'], `${lines.join('\n')}\n`)),
    );
    expect(await Promise.all(pubs.map((pub) => pub.code))).toEqual(pubs.map(() => 0));
    await until(() => got(sub).length >= 1000);
    const byTopic = new Map<string, string[]>();
    for (const line of got(sub)) {
      const [, , , topic = '', text = ''] = line.split(' ');
      byTopic.set(topic, [...(byTopic.get(topic) ?? []), text]);
    }
    expect(byTopic.size).toBe(8);
    for (const texts of byTopic.values()) expect(texts).toEqual(lines);
  });
});
