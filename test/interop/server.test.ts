// Goal: a server keeps what it acknowledged and ends as told, whatever happens to it. Method: real processes, killed,
// and requests that no client would send.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect as http2Connect } from 'node:http2';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { signRequest } from '../../runtime/sigv4/sign.ts';
import { CREDENTIALS, runCli, startServer, stopAll, temporaryFolder } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { fleet, kinesis } from '../signed-requests.ts';

afterEach(stopAll);

function data(text: string): string {
  return Buffer.from(text).toString('base64');
}

async function iteratorOf(
  server: RunningServer,
  stream: string,
  shard = 'shardId-000000000000',
): Promise<string> {
  const { status, body } = await kinesis(server.httpUrl, 'GetShardIterator', {
    StreamName: stream,
    ShardId: shard,
    ShardIteratorType: 'TRIM_HORIZON',
  });
  expect(status).toBe(200);
  return String(body['ShardIterator']);
}

async function texts(server: RunningServer, iterator: string): Promise<string[]> {
  const { status, body } = await kinesis(server.httpUrl, 'GetRecords', { ShardIterator: iterator });
  expect(status).toBe(200);
  return (body['Records'] as { Data: string }[]).map((one) => Buffer.from(one.Data, 'base64').toString());
}

async function create(server: RunningServer, name: string, shards = 1): Promise<void> {
  const { status } = await kinesis(server.httpUrl, 'CreateStream', { StreamName: name, ShardCount: shards });
  expect(status).toBe(200);
}

async function put(server: RunningServer, stream: string, text: string): Promise<number> {
  const { status } = await kinesis(server.httpUrl, 'PutRecord', {
    StreamName: stream,
    Data: data(text),
    PartitionKey: 'key',
  });
  return status;
}

test('a restart keeps streams, records, iterators and enrolment codes', async () => {
  const first = await startServer();
  await create(first, 'kept');
  for (const text of ['a', 'b', 'c']) expect(await put(first, 'kept', text)).toBe(200);
  const iterator = await iteratorOf(first, 'kept');
  const { body } = await fleet(first.httpUrl, 'POST', '/api/v1/enrolment-codes', { name: 'g' });
  expect(await first.kill('SIGTERM')).toEqual({ code: 0, signal: null });

  const second = await first.restart();
  // Given before the restart.
  expect(await texts(second, iterator)).toEqual(['a', 'b', 'c']);
  const pin = String(body['code']).split('.')[1];
  const { body: next } = await fleet(second.httpUrl, 'POST', '/api/v1/enrolment-codes', {});
  // The server is the same one to its gateways.
  expect(String(next['code']).split('.')[1]).toBe(pin);
  expect(String(next['code'])).toMatch(/^[2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4}\.[2-9A-HJ-NP-Z]{16}$/);
});

test('kill -9 after an acknowledgement loses nothing', async () => {
  let server = await startServer();
  await create(server, 'hard');
  const acknowledged: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    const writers = Array.from({ length: 4 }, async (_, writer) => {
      for (let n = 0; ; n += 1) {
        const text = `${round}-${writer}-${n}`;
        try {
          if ((await put(server, 'hard', text)) !== 200) return;
        } catch {
          // The server is gone: nothing was promised.
          return;
        }
        acknowledged.push(text);
      }
    });
    while (acknowledged.length < (round + 1) * 40) await new Promise((resolve) => setTimeout(resolve, 5));
    expect((await server.kill('SIGKILL')).signal).toBe('SIGKILL');
    await Promise.all(writers);
    server = await server.restart();
  }
  const stored = await texts(server, await iteratorOf(server, 'hard'));
  const missing = acknowledged.filter((text) => !stored.includes(text));
  expect(missing).toEqual([]);
  expect(new Set(stored).size).toBe(stored.length);
  // Each writer's records stand in the order they were acknowledged in.
  const ofOne = stored.filter((text) => text.startsWith('1-2-'));
  expect(ofOne).toEqual([...ofOne].toSorted((a, b) => Number(a.split('-')[2]) - Number(b.split('-')[2])));
});

test('a disk that fails ends it with 75, and a new start has what was acknowledged', async () => {
  // No whole number of pages: the write that meets the limit is cut short, which is what the engine calls EIO.
  const server = await startServer({ fileKiBMax: 601 });
  await create(server, 'fragile');
  const acknowledged: string[] = [];
  const write = async (): Promise<void> => {
    for (let n = 0; n < 50; n += 1) {
      // Nothing that compression could make small.
      const text = `${n}-${randomBytes(45_000).toString('base64')}`;
      if ((await put(server, 'fragile', text)) === 200) acknowledged.push(text);
    }
  };
  // The connection breaks when the process ends.
  await Promise.allSettled([write()]);
  expect(await server.ended).toEqual({ code: 75, signal: null });
  expect(server.events().at(-1)).toMatchObject({
    level: 'error',
    event: 'the disk failed; ended so that a new start can recover',
  });
  expect(acknowledged.length).toBeGreaterThan(0);
  const next = await startServer({ data: server.data });
  const stored = await texts(next, await iteratorOf(next, 'fragile'));
  expect(stored.slice(0, acknowledged.length)).toEqual(acknowledged);
});

test('a second server on the same folder is refused, and a dead one is no hindrance', async () => {
  const server = await startServer();
  const second = await runCli(['server', '--data', server.data, '--port', '0']);
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(`belongs to a program that runs (process ${server.pid})`);
  expect(second.stdout).toBe('');
  await server.kill('SIGKILL');
  const next = await server.restart();
  expect((await fetch(`${next.httpUrl}/healthz`)).status).toBe(200);
});

test('SIGTERM ends it with 0 beside idle sockets, open sessions and half a request', async () => {
  const server = await startServer();
  const port = Number(new URL(server.httpUrl).port);
  const idle = connect(port, '127.0.0.1');
  await once(idle, 'connect');
  const keepAlive = connect(port, '127.0.0.1');
  keepAlive.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(keepAlive, 'data');
  const half = connect(port, '127.0.0.1');
  half.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{');
  const session = http2Connect(server.httpUrl);
  await once(session, 'connect');
  const socket = new WebSocket(`ws://127.0.0.1:${port}/sync/v1`);
  await once(socket, 'open');
  const closed = once(socket, 'close');
  for (const one of [idle, keepAlive, half, session]) one.on('error', () => undefined);

  const timer = setTimeout(() => server.signal('SIGKILL'), 10_000);
  expect(await server.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  clearTimeout(timer);
  expect((await closed)[0]).toBe(1001);
  expect(server.stdout().trim().split('\n')).toHaveLength(1);
  session.destroy();
});

test('without a pair in the environment the first one is in a private file, and never in the log', async () => {
  const env = { TRIBUTARY_ACCESS_KEY_ID: undefined, TRIBUTARY_SECRET_ACCESS_KEY: undefined };
  const server = await startServer({ env });
  const path = join(server.data, 'first-access-key');
  const values = Object.fromEntries(
    readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split('=') as [string, string]),
  );
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(server.data, 'server.key')).mode & 0o777).toBe(0o600);
  expect(statSync(join(server.data, 'server.mdb')).mode & 0o077).toBe(0);
  expect(server.events()).toContainEqual(
    expect.objectContaining({ event: 'first access key written', path }),
  );
  const credentials = {
    accessKeyId: values['AWS_ACCESS_KEY_ID'] ?? '',
    secretAccessKey: values['AWS_SECRET_ACCESS_KEY'] ?? '',
  };
  expect(server.stderr() + server.stdout()).not.toContain(credentials.secretAccessKey);
  expect((await kinesis(server.httpUrl, 'ListStreams', {}, { credentials })).status).toBe(200);
  expect((await kinesis(server.httpUrl, 'ListStreams', {})).body['__type']).toBe(
    'UnrecognizedClientException',
  );
  await server.kill('SIGTERM');
  const again = await server.restart();
  expect((await kinesis(again.httpUrl, 'ListStreams', {}, { credentials })).status).toBe(200);
});

test('the pair of the environment replaces the secret at each start', async () => {
  const first = await startServer();
  await first.kill('SIGTERM');
  const next = await startServer({
    data: first.data,
    env: { TRIBUTARY_SECRET_ACCESS_KEY: 'another-secret' },
  });
  expect((await kinesis(next.httpUrl, 'ListStreams', {})).body['__type']).toBe('InvalidSignatureException');
  const credentials = { ...CREDENTIALS, secretAccessKey: 'another-secret' };
  expect((await kinesis(next.httpUrl, 'ListStreams', {}, { credentials })).status).toBe(200);
});

test('a clock 16 minutes off is refused with both times, 14 minutes pass', async () => {
  const { httpUrl } = await startServer();
  const minute = 60_000;
  const late = await kinesis(httpUrl, 'ListStreams', {}, { now: Date.now() - 16 * minute });
  expect(late.status).toBe(400);
  expect(late.body['message']).toMatch(
    /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 15 min\.\)$/,
  );
  const early = await kinesis(httpUrl, 'ListStreams', {}, { now: Date.now() + 16 * minute });
  expect(early.body['message']).toMatch(/^Signature not yet current: /);
  for (const offset of [-14, 14]) {
    const { status } = await kinesis(httpUrl, 'ListStreams', {}, { now: Date.now() + offset * minute });
    expect(status).toBe(200);
  }
  const onFleet = await fleet(httpUrl, 'GET', '/api/v1/gateways', undefined, {
    now: Date.now() - 16 * minute,
  });
  expect(onFleet.status).toBe(403);
  expect(onFleet.body).toMatchObject({
    error: { message: expect.stringMatching(/^Signature expired: /) as unknown },
  });
});

test('oversized and malformed bodies are refused and change nothing', async () => {
  const server = await startServer();
  await create(server, 'calm');
  const { httpUrl } = server;
  const huge = await kinesis(httpUrl, 'PutRecord', Buffer.alloc(17 * 1024 * 1024, 0x20));
  expect(huge.status).toBe(413);
  const tooMuch = { StreamName: 'calm', PartitionKey: 'k', Data: data('x'.repeat(1024 * 1024)) };
  const big = await kinesis(httpUrl, 'PutRecord', tooMuch);
  expect([big.status, big.body['__type']]).toEqual([400, 'ValidationException']);
  const rows: [string, string | Uint8Array, string][] = [
    ['PutRecord', '{"StreamName":"calm"', 'SerializationException'],
    ['PutRecord', '[]', 'SerializationException'],
    ['PutRecord', Buffer.from([0x7b, 0xff, 0x7d]), 'SerializationException'],
    ['PutRecord', '{"StreamName":"calm","PartitionKey":"k","Data":"a"}', 'SerializationException'],
    ['PutRecord', '{"StreamName":"calm","PartitionKey":"k","Data":"!!!!"}', 'SerializationException'],
    ['PutRecord', '{"StreamName":"calm","PartitionKey":"k"}', 'ValidationException'],
    ['PutRecord', '{"StreamName":"calm","PartitionKey":"","Data":""}', 'ValidationException'],
    ['PutRecords', '{"StreamName":"calm","Records":[]}', 'ValidationException'],
    ['PutRecords', `{"StreamName":"calm","Records":${'['.repeat(100_000)}`, 'SerializationException'],
    ['NoSuchOperation', '{}', 'UnknownOperationException'],
  ];
  for (const [operation, body, type] of rows) {
    const answer = await kinesis(httpUrl, operation, body);
    expect([answer.status, answer.body['__type']], `${operation} ${String(body).slice(0, 60)}`).toEqual([
      400,
      type,
    ]);
  }
  expect(await texts(server, await iteratorOf(server, 'calm'))).toEqual([]);
  expect(await put(server, 'calm', 'still here')).toBe(200);
  expect(server.events().filter(({ level }) => level === 'error')).toEqual([]);
});

test('PutRecords keeps the order of the request in each shard', async () => {
  const server = await startServer();
  await create(server, 'many', 4);
  const entries = Array.from({ length: 500 }, (_, n) => ({ Data: data(String(n)), PartitionKey: `k${n}` }));
  const { status, body } = await kinesis(server.httpUrl, 'PutRecords', {
    StreamName: 'many',
    Records: entries,
  });
  expect([status, body['FailedRecordCount']]).toEqual([200, 0]);
  const answers = body['Records'] as { ShardId: string; SequenceNumber: string }[];
  let seen = 0;
  for (const shard of new Set(answers.map((one) => one.ShardId))) {
    const sent = entries
      .filter((_, n) => answers[n]?.ShardId === shard)
      .map((one) => Buffer.from(one.Data, 'base64').toString());
    const read = await texts(server, await iteratorOf(server, 'many', shard));
    expect(read).toEqual(sent);
    const numbers = answers.filter((one) => one.ShardId === shard).map((one) => BigInt(one.SequenceNumber));
    expect(numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0n))).toBe(true);
    seen += read.length;
  }
  expect(seen).toBe(500);
});

test('a stream made again is another one: its old iterators do not fit', async () => {
  const server = await startServer();
  await create(server, 'again');
  await put(server, 'again', 'old');
  const old = await iteratorOf(server, 'again');
  expect((await kinesis(server.httpUrl, 'DeleteStream', { StreamName: 'again' })).status).toBe(200);
  expect((await kinesis(server.httpUrl, 'GetRecords', { ShardIterator: old })).body['__type']).toBe(
    'ResourceNotFoundException',
  );
  await create(server, 'again');
  expect((await kinesis(server.httpUrl, 'GetRecords', { ShardIterator: old })).body['__type']).toBe(
    'ResourceNotFoundException',
  );
  expect(await texts(server, await iteratorOf(server, 'again'))).toEqual([]);
});

test('a sequence number that was never given is refused', async () => {
  const server = await startServer();
  await create(server, 'numbers');
  const { body } = await kinesis(server.httpUrl, 'PutRecord', {
    StreamName: 'numbers',
    Data: data('x'),
    PartitionKey: 'k',
  });
  const given = BigInt(String(body['SequenceNumber']));
  const ask = (number: bigint | string) =>
    kinesis(server.httpUrl, 'GetShardIterator', {
      StreamName: 'numbers',
      ShardId: 'shardId-000000000000',
      ShardIteratorType: 'AFTER_SEQUENCE_NUMBER',
      StartingSequenceNumber: String(number),
    });
  expect((await ask(given)).status).toBe(200);
  // One commit on, by the layout of the numbers.
  expect((await ask(given + (1n << 52n))).body['__type']).toBe('InvalidArgumentException');
  expect((await ask('1')).body['message']).toContain('is invalid.');
  // The same place in another shard.
  expect((await ask(given + 16n)).body['message']).toBe(
    'Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with shardId-000000000000',
  );
});

test('h2c: the same answers over HTTP/2 with prior knowledge', async () => {
  const server = await startServer();
  await create(server, 'two');
  const authority = new URL(server.httpUrl).host;
  const session = http2Connect(server.httpUrl);
  const call = async (operation: string, input: object): Promise<{ status: number; text: string }> => {
    const body = JSON.stringify(input);
    const headers = signRequest(
      {
        method: 'POST',
        url: '/',
        headers: {
          ':authority': authority,
          'content-type': 'application/x-amz-json-1.1',
          'x-amz-target': `Kinesis_20131202.${operation}`,
        },
        body,
      },
      CREDENTIALS,
      { region: 'us-east-1', service: 'kinesis', now: Date.now() },
    );
    const stream = session.request({ ':method': 'POST', ':path': '/', ...headers });
    stream.end(body);
    const [answer] = (await once(stream, 'response')) as [Record<string, unknown>];
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    return { status: Number(answer[':status']), text };
  };
  const puts = await Promise.all(
    Array.from({ length: 50 }, (_, n) =>
      call('PutRecord', { StreamName: 'two', Data: data(String(n)), PartitionKey: 'k' }),
    ),
  );
  expect(puts.map(({ status }) => status)).toEqual(puts.map(() => 200));
  const stored = await texts(server, await iteratorOf(server, 'two'));
  expect(stored.map(Number).toSorted((a, b) => a - b)).toEqual(puts.map((_, n) => n));
  session.close();
});

test('reserved paths are no AWS API, and everything else is', async () => {
  const { httpUrl } = await startServer();
  const get = async (path: string, method = 'GET') => (await fetch(httpUrl + path, { method })).status;
  expect(await get('/healthz')).toBe(200);
  expect(await get('/healthz', 'POST')).toBe(405);
  expect(await get('/metrics')).toBe(200);
  expect(await get('/sync/v1')).toBe(426);
  expect(await get('/console')).toBe(404);
  expect(await get('/api/v2/x')).toBe(404);
  expect(await get('/anything')).toBe(403);
  const metrics = await (await fetch(`${httpUrl}/metrics`)).text();
  expect(metrics).toMatch(/^tributary_store_file_bytes \d+$/m);
  const refusedUpgrade = httpRequest(`${httpUrl}/elsewhere`, {
    headers: {
      connection: 'upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'x',
    },
  });
  refusedUpgrade.end();
  const [response] = (await once(refusedUpgrade, 'response')) as [import('node:http').IncomingMessage];
  expect(response.statusCode).toBe(404);
});

test('--auth off checks nothing, says so, and is for loopback only', async () => {
  const server = await startServer({ parameters: ['--auth', 'off'] });
  expect(server.events()).toContainEqual(
    expect.objectContaining({ level: 'warn', event: 'signatures are not checked; for development only' }),
  );
  const credentials = { accessKeyId: 'ANYBODY', secretAccessKey: 'anything' };
  expect((await kinesis(server.httpUrl, 'ListStreams', {}, { credentials })).status).toBe(200);
  expect((await fetch(`${server.httpUrl}/api/v1/gateways`)).status).toBe(200);
  const open = await runCli(['server', '--data', server.data, '--host', '0.0.0.0', '--auth', 'off']);
  expect(open.code).toBe(2);
  expect(open.stderr).toContain('auth: must be on');
});

test('metrics: other hosts need the token, which must be there', async () => {
  const folder = temporaryFolder('metrics');
  const file = join(folder, 'server.yaml');
  writeFileSync(file, `metrics:\n  tokenFile: ${join(folder, 'token')}\n`);
  const without = await runCli(['server', '--data', join(folder, 'data'), '--port', '0', '--config', file]);
  expect([without.code, without.stdout]).toEqual([2, '']);
  writeFileSync(join(folder, 'token'), 'let-me-in\n');
  const address = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
  const server = await startServer({ parameters: ['--host', '0.0.0.0', '--config', file] });
  const port = new URL(server.httpUrl).port;
  expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(200);
  // A machine with no other address than loopback has no other host either.
  if (address === undefined) return;
  const ask = async (authorization: string): Promise<number> =>
    (await fetch(`http://${address}:${port}/metrics`, { headers: { authorization } })).status;
  expect(await ask('Bearer let-me-in')).toBe(200);
  expect(await ask('Bearer wrong')).toBe(403);
});

test('bad settings are listed together, each with its path, and nothing is made', async () => {
  const folder = temporaryFolder('config');
  const file = join(folder, 'server.yaml');
  writeFileSync(file, 'http:\n  port: 70000\n  hots: x\nregion: "EU"\nauth: off\n');
  const data = join(folder, 'data');
  const { code, stdout, stderr } = await runCli([
    'server',
    '--data',
    data,
    '--host',
    '0.0.0.0',
    '--config',
    file,
    '--check-config',
    '--json',
  ]);
  expect([code, stderr]).toEqual([2, '']);
  const { schema, ok, problems } = JSON.parse(stdout) as {
    schema: string;
    ok: boolean;
    problems: { path: string; fix: string }[];
  };
  expect([schema, ok]).toEqual(['tributary.check-config/1', false]);
  expect(problems.map(({ path }) => path).toSorted()).toEqual(['auth', 'http', 'http.port', 'region']);
  expect(problems.every(({ fix }) => fix.length > 10)).toBe(true);
  expect(existsSync(data)).toBe(false);
  const started = await runCli(['server', '--data', data, '--config', file]);
  expect([started.code, started.stdout]).toEqual([2, '']);
});

test('a data folder that cannot be used is refused with the reason', async () => {
  const folder = temporaryFolder('unusable');
  writeFileSync(join(folder, 'file'), '');
  const inFile = await runCli(['server', '--data', join(folder, 'file', 'data'), '--port', '0']);
  expect(inFile.code).toBe(2);
  expect(inFile.stderr).toContain('is not a folder');
  const open = join(folder, 'open');
  mkdirSync(open);
  writeFileSync(join(open, 'server.key'), Buffer.alloc(32), { mode: 0o644 });
  const readable = await runCli(['server', '--data', open, '--port', '0']);
  expect(readable.code).toBe(1);
  expect(readable.stderr).toContain('chmod 600');
});
