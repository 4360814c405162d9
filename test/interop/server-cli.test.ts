// Goal: the command keeps its contract: data on stdout, all else on stderr, an exit code that says what happened.
// Method: the command as a process against a server as a process.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { accessSync, constants, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeAggregate } from '../../stream/kpl-aggregate.ts';
import { MAIN, ROOT, credentialEnvironment, run, runCli, startServer, stopAll } from '../processes.ts';
import type { Finished, RunningServer } from '../processes.ts';
import { fleet, kinesis } from '../signed-requests.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(stopAll);

function tributary(parameters: readonly string[], stdin?: string): Promise<Finished> {
  const env = { ...credentialEnvironment(), TRIBUTARY_SERVER: server.httpUrl };
  return runCli(parameters, { env, ...(stdin === undefined ? {} : { stdin }) });
}

async function document(...parameters: string[]): Promise<Readonly<Record<string, unknown>>> {
  const { code, stdout, stderr } = await tributary([...parameters, '--json']);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout.trim().split('\n')).toHaveLength(1);
  return JSON.parse(stdout) as Record<string, unknown>;
}

test('streams: create, list, put, tail', async () => {
  expect(await document('stream', 'create', 'cli', '--shards', '3')).toEqual({
    schema: 'tributary.stream-create/1',
    name: 'cli',
    shards: 3,
  });
  expect(await document('stream', 'ls')).toMatchObject({
    schema: 'tributary.stream-ls/1',
    streams: [{ name: 'cli', status: 'ACTIVE', mode: 'PROVISIONED' }],
  });
  expect(await document('stream', 'put', 'cli', '--data', 'grüße', '--partition-key', 'a')).toMatchObject({
    schema: 'tributary.stream-put/1',
    shardId: expect.stringMatching(/^shardId-\d{12}$/) as unknown,
    sequenceNumber: expect.stringMatching(/^\d{56}$/) as unknown,
  });
  expect((await tributary(['stream', 'put', 'cli', '--partition-key', 'b'], 'from stdin\n')).code).toBe(0);
  expect(
    (await tributary(['stream', 'put', 'cli', '--data', `bell${'\u0007'}`, '--partition-key', 'c'])).code,
  ).toBe(0);
  const { stdout, stderr, code } = await tributary(['stream', 'tail', 'cli', '--json']);
  expect([code, stderr]).toEqual([0, '']);
  const records = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const byKey = new Map(records.map((one) => [one['partitionKey'], [one['schema'], one['text']]]));
  expect(Object.fromEntries(byKey)).toEqual({
    a: ['tributary.record/1', 'grüße'],
    b: ['tributary.record/1', 'from stdin\n'],
    c: ['tributary.record/1', 'bell\u0007'],
  });
  const human = await tributary(['stream', 'tail', 'cli']);
  // No control character of a record reaches the terminal.
  expect(human.stdout.trim().split('\n')).toHaveLength(3);
  expect(human.stdout).toContain(' c bell?\n');
  expect((await tributary(['stream', 'tail', 'cli', '--limit', '1'])).stdout.trim().split('\n')).toHaveLength(
    1,
  );
  expect((await tributary(['stream', 'tail', 'cli', '--from', 'latest'])).stdout).toBe('');
});

test('tail reads through splits and merges in the order of each key, and unpacks what producers packed', async () => {
  await tributary(['stream', 'create', 'split', '--shards', '1']);
  const put = async (key: string, data: Uint8Array | string): Promise<void> => {
    const Data = Buffer.from(data).toString('base64');
    const { status } = await kinesis(server.httpUrl, 'PutRecord', {
      StreamName: 'split',
      PartitionKey: key,
      Data,
    });
    expect(status).toBe(200);
  };
  const change = async (operation: string, input: object): Promise<void> => {
    expect((await kinesis(server.httpUrl, operation, { StreamName: 'split', ...input })).status).toBe(200);
  };
  const keys = ['a', 'b', 'c', 'd', 'e'];
  const round = async (text: string): Promise<void> => {
    for (const key of keys) await put(key, `${key}${text}`);
  };
  await round('1');
  const NewStartingHashKey = (2n ** 127n).toString();
  await change('SplitShard', { ShardToSplit: 'shardId-000000000000', NewStartingHashKey });
  await round('2');
  await change('MergeShards', {
    ShardToMerge: 'shardId-000000000001',
    AdjacentShardToMerge: 'shardId-000000000002',
  });
  await round('3');
  const md5 = (bytes: Uint8Array): Uint8Array => createHash('md5').update(bytes).digest();
  const packed = keys.map((partitionKey) => ({ partitionKey, data: Buffer.from(`${partitionKey}4`) }));
  await put('a', encodeAggregate(packed, md5));
  const { stdout } = await tributary(['stream', 'tail', 'split', '--json']);
  const lines = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const key of keys) {
    const texts = lines.filter(({ partitionKey }) => partitionKey === key).map(({ text }) => text);
    expect(texts).toEqual([1, 2, 3, 4].map((n) => `${key}${n}`));
  }
  expect(lines.slice(-5).map((one) => one['subSequenceNumber'])).toEqual([0, 1, 2, 3, 4]);
});

test('tail --follow goes on through a restart of the server, prints nothing twice, and ends with 130', async () => {
  const own = await startServer();
  await kinesis(own.httpUrl, 'CreateStream', { StreamName: 'follow', ShardCount: 1 });
  const put = async (target: string, text: string): Promise<void> => {
    const Data = Buffer.from(text).toString('base64');
    const { status } = await kinesis(target, 'PutRecord', { StreamName: 'follow', PartitionKey: 'k', Data });
    expect(status).toBe(200);
  };
  await put(own.httpUrl, 'before');
  const from = ['--from', 'trim-horizon'];
  const tail = spawn(process.execPath, [MAIN, 'stream', 'tail', 'follow', '--follow', '--json', ...from], {
    env: { ...process.env, ...credentialEnvironment(), TRIBUTARY_SERVER: own.httpUrl },
  });
  let stdout = '';
  tail.stdout.on('data', (chunk) => {
    stdout += String(chunk);
  });
  const printed = (): unknown[] =>
    stdout
      .trim()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { text: string }).text);
  const until = async (count: number): Promise<void> => {
    while (printed().length < count) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  await until(1);
  await put(own.httpUrl, 'while');
  await until(2);
  await own.kill('SIGKILL');
  const next = await own.restart();
  await put(next.httpUrl, 'after');
  await until(3);
  expect(printed()).toEqual(['before', 'while', 'after']);
  tail.kill('SIGINT');
  expect(await once(tail, 'exit')).toEqual([130, null]);
});

test('enrol-code and fleet', async () => {
  const shown = await tributary(['enrol-code', '--name', 'barn', '--stream', 'telemetry', 'alarms.*']);
  const code = shown.stdout.trim().split('\n').at(-1) ?? '';
  expect(code).toMatch(/^[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}\.[2-9A-HJ-NP-Z]{16}$/);
  expect(shown.stderr).toContain(`tributary gateway --server ${server.httpUrl} --enrol ${code}`);
  const { expiresAt } = await document('enrol-code', '--ttl-minutes', '1');
  expect(Date.parse(String(expiresAt))).toBeLessThan(Date.now() + 61_000);
  expect(await document('fleet', 'ls')).toEqual({ schema: 'tributary.fleet-ls/1', gateways: [] });
  expect((await tributary(['fleet', 'rm', 'gw-none', '--yes'])).code).toBe(3);
  expect((await tributary(['enrol-code', '--stream', 'a*b'])).code).toBe(2);
});

test('every failure has its exit code, and under --json one document on stderr', async () => {
  const rows: [string[], Readonly<Record<string, string | undefined>>, number, string][] = [
    [['stream', 'tail', 'nowhere'], {}, 3, 'ResourceNotFoundException'],
    [['stream', 'put', 'bad name', '--data', 'x'], {}, 2, 'ValidationException'],
    [['stream', 'create', 'x', '--shards', '0'], {}, 2, 'USAGE'],
    [['stream', 'create'], {}, 2, 'USAGE'],
    [['stream', 'rm', 'x'], {}, 2, 'USAGE'],
    [['no-such-command'], {}, 2, 'USAGE'],
    [['fleet', 'ls'], { TRIBUTARY_SECRET_ACCESS_KEY: 'wrong' }, 4, 'SIGNATURE_INVALID'],
    [['stream', 'ls'], { TRIBUTARY_SECRET_ACCESS_KEY: 'wrong' }, 4, 'InvalidSignatureException'],
    [['fleet', 'ls'], { TRIBUTARY_SECRET_ACCESS_KEY: undefined }, 4, 'CREDENTIALS_MISSING'],
    [['fleet', 'ls', '--server', 'http://127.0.0.1:9'], {}, 5, 'UNREACHABLE'],
    [['fleet', 'ls', '--server', 'ftp://x'], {}, 2, 'USAGE'],
    [['log', 'verify', '/no/such/folder'], {}, 2, 'CONFIG_INVALID'],
    [['server', '--data', '/dev/null/x'], {}, 2, 'CONFIG_INVALID'],
    [['server', '--data', '/proc/nope/x'], {}, 2, 'CONFIG_INVALID'],
    [['gateway', '--data', '/dev/null/x'], {}, 2, 'CONFIG_INVALID'],
    [['gateway', '--data', '/proc/nope'], {}, 2, 'CONFIG_INVALID'],
  ];
  for (const [parameters, env, exit, code] of rows) {
    const name = parameters.join(' ');
    const all = { ...credentialEnvironment(), TRIBUTARY_SERVER: server.httpUrl, ...env };
    const finished = await runCli([...parameters, '--json'], { env: all });
    expect([finished.code, finished.stdout], name).toEqual([exit, '']);
    const { error } = JSON.parse(finished.stderr) as { error: { code: string; message: string } };
    expect(error.code, name).toBe(code);
    expect(error.message.length, name).toBeGreaterThan(5);
    const human = await runCli(parameters, { env: all });
    expect([human.code, human.stdout], name).toEqual([exit, '']);
    expect(human.stderr, name).toMatch(/^(tributary|error): /);
  }
});

test('a reader that goes away is no failure', async () => {
  const records = Array.from({ length: 500 }, (_, n) => ({
    Data: Buffer.alloc(1000, 97).toString('base64'),
    PartitionKey: `k${n}`,
  }));
  await kinesis(server.httpUrl, 'CreateStream', { StreamName: 'pipe', ShardCount: 1 });
  await kinesis(server.httpUrl, 'PutRecords', { StreamName: 'pipe', Records: records });
  const script = '"$@" | head -n 1 >/dev/null; echo "${PIPESTATUS[0]}"';
  const command = ['bash', process.execPath, MAIN, 'stream', 'tail', 'pipe'];
  const { stdout, stderr } = await run('bash', ['-c', script, ...command], {
    env: { ...credentialEnvironment(), TRIBUTARY_SERVER: server.httpUrl },
  });
  expect([stdout, stderr]).toEqual(['0\n', '']);
});

test('log verify counts what a stopped server holds, and finds damage', async () => {
  const own = await startServer();
  await kinesis(own.httpUrl, 'CreateStream', { StreamName: 'v', ShardCount: 2 });
  const Records = Array.from({ length: 100 }, (_, n) => ({ Data: 'AAAA', PartitionKey: `k${n}` }));
  await kinesis(own.httpUrl, 'PutRecords', { StreamName: 'v', Records });
  await own.kill('SIGTERM');
  const sound = await runCli(['log', 'verify', own.data, '--json']);
  expect([sound.code, sound.stderr]).toEqual([0, '']);
  expect(JSON.parse(sound.stdout)).toMatchObject({
    schema: 'tributary.log-verify/1',
    ok: true,
    records: 100,
    streams: { v: { records: 100 } },
    damage: [],
  });
  const file = join(own.data, 'server.mdb');
  const bytes = readFileSync(file);
  const at = bytes.indexOf('TRB1');
  expect(at).toBeGreaterThan(0);
  bytes.writeUInt8(bytes.readUInt8(at + 90) ^ 0xff, at + 90);
  writeFileSync(file, bytes);
  const broken = await runCli(['log', 'verify', own.data, '--json']);
  expect(broken.code).toBe(1);
  expect(JSON.parse(broken.stdout)).toMatchObject({ ok: false, damage: [{ kind: 'block-damaged' }] });
  truncateSync(file, 100);
  expect((await runCli(['log', 'verify', own.data])).code).toBe(1);
});

test('the build is a command: executable, with the version of the package, and help on stdout', async () => {
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  const shown = await runCli(['--version']);
  expect([shown.code, shown.stdout, shown.stderr]).toEqual([0, `${version}\n`, '']);
  expect(readFileSync(MAIN, 'utf8').split('\n')[0]).toBe('#!/usr/bin/env node');
  accessSync(MAIN, constants.X_OK);
  const help = await runCli(['stream', '--help']);
  expect([help.code, help.stderr]).toEqual([0, '']);
  expect(help.stdout).toContain('tail');
});

test('the fleet API refuses what is not signed, not known, not allowed, or not JSON', async () => {
  const { httpUrl } = server;
  const bare = await fetch(`${httpUrl}/api/v1/gateways`);
  expect(bare.status).toBe(403);
  const get = (path: string) => fleet(httpUrl, 'GET', path);
  expect((await get('/api/v1/gateways')).body).toEqual({ gateways: [] });
  expect((await get('/api/v1/gateways?x=1')).status).toBe(200);
  // Signed for another service.
  const kinesisSigned = await fleet(httpUrl, 'GET', '/api/v1/gateways', undefined, { service: 'kinesis' });
  expect(kinesisSigned.status).toBe(403);
  expect(JSON.stringify(kinesisSigned.body)).toContain("correct service: 'tributary'");
  expect((await get('/api/v1/nothing')).status).toBe(404);
  const wrongMethod = await fleet(httpUrl, 'PUT', '/api/v1/gateways', {});
  expect([wrongMethod.status, wrongMethod.text]).toEqual([
    405,
    expect.stringContaining('only GET') as unknown,
  ]);
  const codes = '/api/v1/enrolment-codes';
  const rows: [object | string, number, string][] = [
    ['{', 400, 'not JSON'],
    ['[]', 400, 'expected object'],
    [{ ttlMinutes: 5 }, 400, 'ttlMinutes'],
    [{ ttlMs: 1 }, 400, 'ttlMs'],
    [{ allowedStreams: [] }, 400, 'allowedStreams'],
    [{ allowedStreams: ['a b'] }, 400, 'allowedStreams.0'],
    [{ name: 'x'.repeat(20_000) }, 413, '16 KiB'],
  ];
  for (const [body, status, text] of rows) {
    const answer = await fleet(httpUrl, 'POST', codes, body);
    expect([answer.status, answer.text], JSON.stringify(body).slice(0, 60)).toEqual([
      status,
      expect.stringContaining(text) as unknown,
    ]);
  }
});
