// Goal: a program that meets a damaged store goes on with what is whole of it, keeps the damaged file, says what is lost,
// and gets there though it is killed at any moment on the way. Method: real programs, real files, damaged while stopped.
// A failure prints its seed; run it again with SEED=<seed> npx vitest run --project fault store-recovery
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import {
  MAIN,
  ROOT,
  credentialEnvironment,
  run,
  runCli,
  startGateway,
  startServer,
  stopAll,
  temporaryFolder,
} from '../processes.ts';
import { randomOf } from '../seeded-random.ts';
import { kinesis } from '../signed-requests.ts';

const PAGE_BYTES = 4096;
const ROUNDS = process.env['NIGHTLY'] === 'true' ? 60 : 8;
const seed = Number(process.env['SEED'] ?? 1 + Math.floor(Math.random() * 1_000_000));
const STREAM = 'readings';

afterEach(stopAll);

interface Read {
  readonly text: string;
  readonly sequenceNumber: string;
}

async function put(httpUrl: string, name: string, count: number): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    // What does not shrink is stored as it is: it is found by its text.
    const text = Buffer.from(`${name} ${index} .`);
    const Data = Buffer.concat([text, randomBytes(3_000)]).toString('base64');
    const answer = await kinesis(httpUrl, 'PutRecord', { StreamName: STREAM, PartitionKey: 'k', Data });
    expect(answer.status).toBe(200);
  }
}

async function readAll(
  httpUrl: string,
  start: object = { ShardIteratorType: 'TRIM_HORIZON' },
): Promise<Read[]> {
  const where = { StreamName: STREAM, ShardId: 'shardId-000000000000', ...start };
  let iterator = (await kinesis(httpUrl, 'GetShardIterator', where)).body['ShardIterator'];
  const found: Read[] = [];
  for (;;) {
    const { body, status } = await kinesis(httpUrl, 'GetRecords', { ShardIterator: iterator });
    expect(status).toBe(200);
    const records = body['Records'] as { Data: string; SequenceNumber: string }[];
    for (const { Data, SequenceNumber } of records) {
      const text = Buffer.from(Data, 'base64').toString().split(' .')[0] ?? '';
      found.push({ text, sequenceNumber: SequenceNumber });
    }
    if (records.length === 0 && body['MillisBehindLatest'] === 0) return found;
    iterator = body['NextShardIterator'];
  }
}

/** A server's folder with 60 records, stopped; what was read of it. */
async function filledServer(): Promise<{ data: string; reads: Read[] }> {
  const server = await startServer();
  const made = await kinesis(server.httpUrl, 'CreateStream', { StreamName: STREAM, ShardCount: 1 });
  expect(made.status).toBe(200);
  await put(server.httpUrl, 'before', 60);
  const reads = await readAll(server.httpUrl);
  expect(reads).toHaveLength(60);
  await server.kill('SIGKILL');
  return { data: server.data, reads };
}

/** Zeros over the first page of what holds each text. */
function damage(data: string, texts: readonly string[]): Buffer {
  const path = join(data, 'server.mdb');
  const file = readFileSync(path);
  for (const text of texts) {
    const at = file.indexOf(`${text} .`);
    expect(at).toBeGreaterThan(0);
    file.fill(0, at - (at % PAGE_BYTES), at - (at % PAGE_BYTES) + PAGE_BYTES);
  }
  writeFileSync(path, file);
  return file;
}

function quarantined(data: string): string[] {
  return readdirSync(data).filter((name) => name.includes('.mdb.damaged-') && !name.endsWith('-lock'));
}

describe('a server with a damaged store', () => {
  it('goes on: what is whole keeps its numbers, what comes gets new ones', { timeout: 120_000 }, async () => {
    const { data, reads } = await filledServer();
    const damaged = damage(data, ['before 20', 'before 21', 'before 40']);
    const server = await startServer({ data });
    const [name = '', ...more] = quarantined(data);
    expect(more).toEqual([]);
    expect(name).toMatch(/^server\.mdb\.damaged-\d{8}T\d{6}Z$/);
    expect(readFileSync(join(data, name)).equals(damaged)).toBe(true);
    const told = server.events().find(({ event, message }) => [event, message].includes('store salvaged'));
    expect(told).toMatchObject({ level: 'error', lostRecords: 3, records: 57 });
    const lost = new Set(['before 20', 'before 21', 'before 40']);
    const kept = reads.filter(({ text }) => !lost.has(text));
    expect(await readAll(server.httpUrl)).toEqual(kept);
    await put(server.httpUrl, 'after', 5);
    const all = await readAll(server.httpUrl);
    expect(all.map(({ text }) => text)).toEqual([
      ...kept.map(({ text }) => text),
      ...[0, 1, 2, 3, 4].map((index) => `after ${index}`),
    ]);
    const numbers = all.map(({ sequenceNumber }) => BigInt(sequenceNumber));
    expect(numbers.toSorted((a, b) => (a < b ? -1 : 1))).toEqual(numbers);
    expect(new Set(numbers).size).toBe(numbers.length);
    // A consumer's checkpoint of before.
    const checkpoint = {
      ShardIteratorType: 'AFTER_SEQUENCE_NUMBER',
      StartingSequenceNumber: reads[19]?.sequenceNumber,
    };
    expect((await readAll(server.httpUrl, checkpoint)).map(({ text }) => text)[0]).toBe('before 22');
    const metrics = await (await fetch(`${server.httpUrl}/metrics`)).text();
    expect(metrics).toContain('tributary_store_lost_records 3');
    await server.kill('SIGTERM');
    const verified = await runCli(['log', 'verify', data, '--json']);
    expect(JSON.parse(verified.stdout)).toMatchObject({ ok: true, records: 62, lostRecords: 3 });
    // The one set aside can be looked at, too, and ends nothing with a signal.
    const aside = await runCli(['log', 'verify', join(data, name), '--json']);
    expect(aside).toMatchObject({ code: 1, signal: null });
    const inspected = await runCli(['log', 'inspect', join(data, name), '--json']);
    expect(inspected.signal).toBe(null);
    expect(JSON.parse(inspected.stdout)).toMatchObject({ schema: 'tributary.log-inspect/1' });
  });

  it(`gets there though it is killed on the way (SEED=${seed})`, { timeout: 300_000 }, async () => {
    const random = randomOf(seed);
    const { data, reads } = await filledServer();
    const damaged = damage(data, ['before 10', 'before 30']);
    const path = join(data, 'server.mdb');
    for (let round = 0; round < ROUNDS; round += 1) {
      const child = spawn(process.execPath, [MAIN, 'server', '--data', data, '--port', '0'], {
        env: { ...process.env, ...credentialEnvironment() },
        stdio: 'ignore',
      });
      const ended = new Promise((resolve) => child.once('exit', resolve));
      await sleep(150 + random() * 900);
      child.kill('SIGKILL');
      await ended;
      expect(existsSync(path) || existsSync(`${path}.salvaged`)).toBe(true);
      for (const name of quarantined(data)) expect(readFileSync(join(data, name)).equals(damaged)).toBe(true);
    }
    const server = await startServer({ data });
    expect(quarantined(data)).toHaveLength(1);
    const lost = new Set(['before 10', 'before 30']);
    expect(await readAll(server.httpUrl)).toEqual(reads.filter(({ text }) => !lost.has(text)));
    expect(readdirSync(data).filter((name) => /salvag/.test(name))).toEqual([]);
  });

  it('goes on from every state in which it may have been killed', { timeout: 120_000 }, async () => {
    const { data, reads } = await filledServer();
    const sound = readFileSync(join(data, 'server.mdb'));
    const damaged = damage(data, ['before 10']);
    const path = join(data, 'server.mdb');
    const aside = `${path}.damaged-20260101T000000Z`;
    const states: readonly (() => void)[] = [
      // Half of the new file is there.
      () => writeFileSync(`${path}.salvaging-1`, sound.subarray(0, 9_000)),
      // The new file is whole, the damaged one has a second name.
      () => {
        copyFileSync(path, `${path}.salvaged`);
        execFileSync('ln', [path, aside]);
      },
      // The damaged one was moved away, on a file system without second names.
      () => {
        execFileSync('mv', [path, aside]);
      },
    ];
    for (const state of states) {
      for (const name of readdirSync(data)) if (name.startsWith('server.mdb')) rmSync(join(data, name));
      writeFileSync(path, damaged);
      state();
      const server = await startServer({ data });
      expect(await readAll(server.httpUrl)).toEqual(reads.filter(({ text }) => text !== 'before 10'));
      expect(quarantined(data)).toHaveLength(1);
      await server.kill('SIGKILL');
    }
  });

  it('refuses to start when that is asked for, and changes nothing', { timeout: 60_000 }, async () => {
    const { data } = await filledServer();
    const damaged = damage(data, ['before 10']);
    const config = join(temporaryFolder('config'), 'server.yaml');
    writeFileSync(config, 'storage:\n  onDamage: refuse\n');
    const start = ['server', '--data', data, '--port', '0', '--config', config];
    const { code, stderr } = await runCli(start, { env: credentialEnvironment() });
    expect(code).toBe(1);
    expect(stderr).toContain(`tributary log verify ${data}`);
    expect(stderr).toContain(`tributary log salvage ${data}`);
    expect(readFileSync(join(data, 'server.mdb')).equals(damaged)).toBe(true);
    expect(quarantined(data)).toEqual([]);
    const salvaged = await runCli(['log', 'salvage', data, '--json']);
    expect(salvaged).toMatchObject({ code: 0 });
    expect(JSON.parse(salvaged.stdout)).toMatchObject({
      schema: 'tributary.log-salvage/1',
      records: 59,
      lostRecords: 1,
    });
    expect(quarantined(data)).toHaveLength(1);
    expect((await runCli(['log', 'verify', data])).code).toBe(0);
  });

  it('is not salvaged by hand while it runs', { timeout: 60_000 }, async () => {
    const server = await startServer();
    const { code, stderr } = await runCli(['log', 'salvage', server.data]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/process \d+|in use|owns/);
    const inspected = await runCli(['log', 'inspect', server.data, '--json']);
    expect(inspected.code).toBe(0);
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      schema: 'tributary.log-inspect/1',
      format: { version: 2, layout: 'shared' },
      damage: [],
    });
  });

  it('says so when the disk has no room for a second file', { timeout: 60_000 }, async (context) => {
    const { data } = await filledServer();
    const damaged = damage(data, ['before 10']);
    const disk = temporaryFolder('small');
    const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', disk]);
    if (mounted.code !== 0) context.skip('mounting a small file system needs root');
    try {
      const small = join(disk, 'data');
      mkdirSync(small, { mode: 0o700 });
      for (const name of ['server.mdb', 'server.key']) copyFileSync(join(data, name), join(small, name));
      const { code, stderr } = await runCli(['server', '--data', small, '--port', '0'], {
        env: credentialEnvironment(),
      });
      expect(code).toBe(1);
      expect(stderr).toContain('no room for a second file');
      expect(readFileSync(join(small, 'server.mdb')).equals(damaged)).toBe(true);
      expect(readdirSync(small).filter((name) => /damaged|salvag/.test(name))).toEqual([]);
    } finally {
      await run('umount', [disk]);
    }
  });

  it('is not touched when a later program wrote it', { timeout: 60_000 }, async () => {
    const { data } = await filledServer();
    const path = join(data, 'server.mdb');
    const later = readFileSync(path);
    for (
      let at = later.indexOf('"version":2,"layout"');
      at >= 0;
      at = later.indexOf('"version":2,"layout"', at + 1)
    )
      later[at + 10] = 0x39;
    writeFileSync(path, later);
    const { code, stderr } = await runCli(['server', '--data', data, '--port', '0'], {
      env: credentialEnvironment(),
    });
    expect(code).toBe(2);
    expect(stderr).toContain('has format 9, written by Tributary');
    expect(readFileSync(path).equals(later)).toBe(true);
    expect(quarantined(data)).toEqual([]);
  });
});

describe('a gateway whose log is', () => {
  const contents: Readonly<Record<string, (size: number) => Uint8Array>> = {
    empty: () => new Uint8Array(),
    'all zeros': (size) => new Uint8Array(size),
    'a text': () => Buffer.from('text\n'.repeat(5_000)),
  };

  it.each(Object.entries(contents))('%s starts and keeps it', { timeout: 60_000 }, async (_name, content) => {
    const first = await startGateway();
    await first.kill('SIGTERM');
    const path = join(first.data, 'gateway.mdb');
    const there = content(statSync(path).size);
    writeFileSync(path, there);
    const second = await startGateway({ data: first.data });
    expect(second.events().filter(({ level }) => level === 'error').length).toBeGreaterThan(1);
    const [name = ''] = quarantined(first.data);
    expect(readFileSync(join(first.data, name)).equals(Buffer.from(there))).toBe(true);
    const status = (await (await fetch(`${second.statusUrl}/status`)).json()) as object;
    expect(status).toMatchObject({ log: { lostRecords: 0 } });
  });

  it('missing says so, and is not missed in silence', { timeout: 60_000 }, async () => {
    const first = await startGateway();
    await first.kill('SIGTERM');
    rmSync(join(first.data, 'gateway.mdb'));
    const second = await startGateway({ data: first.data });
    expect(second.stderr()).toContain('the store is missing');
    await second.kill('SIGTERM');
    rmSync(join(first.data, 'gateway.mdb'));
    const config = join(temporaryFolder('config'), 'gateway.yaml');
    writeFileSync(config, 'log:\n  onDamage: refuse\n');
    const refused = await runCli([
      'gateway',
      '--data',
      first.data,
      '--mqtt-port',
      '0',
      '--status-port',
      '0',
      '--config',
      config,
    ]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('gateway.mdb is missing');
    expect(existsSync(join(first.data, 'gateway.mdb'))).toBe(false);
  });

  it('missing is refused though its key lies elsewhere', { timeout: 60_000 }, async () => {
    const config = temporaryFolder('config');
    const keyFile = join(config, 'master.key');
    writeFileSync(keyFile, randomBytes(32), { mode: 0o600 });
    const settings = { encryption: { provider: 'file', keyFile }, log: { onDamage: 'refuse' } };
    writeFileSync(join(config, 'gateway.json'), JSON.stringify(settings));
    const parameters = ['--config', join(config, 'gateway.json')];
    const first = await startGateway({ parameters });
    await first.kill('SIGKILL');
    const path = join(first.data, 'gateway.mdb');
    expect(existsSync(join(first.data, 'gateway.key'))).toBe(false);
    rmSync(path);
    const start = ['gateway', '--data', first.data, '--mqtt-port', '0', '--status-port', '0', ...parameters];
    const refused = await runCli(start);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('gateway.mdb is missing');
    expect(refused.stderr).toContain(`remove ${path}.made to start with an empty one`);
    expect(existsSync(path)).toBe(false);
    rmSync(`${path}.made`);
    await startGateway({ data: first.data, parameters });
  });

  it(
    'not made yet is made, though a start was killed when its key was there',
    { timeout: 60_000 },
    async () => {
      const data = temporaryFolder('gateway');
      writeFileSync(join(data, 'gateway.key'), randomBytes(32), { mode: 0o600 });
      const config = join(temporaryFolder('config'), 'gateway.yaml');
      writeFileSync(config, 'log:\n  onDamage: refuse\n');
      const gateway = await startGateway({ data, parameters: ['--config', config] });
      expect(gateway.stderr()).not.toContain('missing');
    },
  );
});

describe('a store of format 1', () => {
  it(
    `is brought to format 2 though the program is killed meanwhile (SEED=${seed})`,
    { timeout: 120_000 },
    async () => {
      const random = randomOf(seed);
      const data = temporaryFolder('gateway');
      const path = join(data, 'gateway.mdb');
      const former = gunzipSync(readFileSync(join(ROOT, 'test/golden/stores/v1-perShard.mdb.gz')));
      writeFileSync(path, former);
      writeFileSync(join(data, 'gateway.key'), Buffer.alloc(32, 7), { mode: 0o600 });
      const start = ['gateway', '--data', data, '--mqtt-port', '0', '--status-port', '0'];
      for (let round = 0; round < ROUNDS; round += 1) {
        const child = spawn(process.execPath, [MAIN, ...start], { stdio: 'ignore' });
        const ended = new Promise((resolve) => child.once('exit', resolve));
        await sleep(200 + random() * 500);
        child.kill('SIGKILL');
        await ended;
        expect(existsSync(`${path}.v1-backup`) || readFileSync(path).equals(former)).toBe(true);
      }
      const gateway = await startGateway({ data });
      await gateway.kill('SIGTERM');
      expect(readFileSync(`${path}.v1-backup`).equals(former)).toBe(true);
      expect(readdirSync(data).filter((name) => name.endsWith('v1-backup-2'))).toEqual([]);
      const verified = JSON.parse((await runCli(['log', 'verify', data, '--json'])).stdout) as object;
      expect(verified).toMatchObject({ ok: true, records: 76 });
    },
  );
});
