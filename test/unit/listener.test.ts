// One port, two protocols: the order of checks, the cap, bad bytes and closing in time.
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect as http2Connect } from 'node:http2';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { KINESIS_MODEL } from '../../server/kinesis/model.ts';
import { awsRpcHandler } from '../../server/wire/aws-rpc.ts';
import { readCbor } from '../../server/wire/cbor-reader.ts';
import type { BodyLimits, WireLimits } from '../../server/wire/limits.ts';
import { openListener } from '../../server/wire/listener.ts';
import type { Listener } from '../../server/wire/listener.ts';
import { signRequest } from '../../runtime/sigv4/sign.ts';
import { rootOf } from '../../server/access/principal.ts';
import { verifyRequest } from '../../runtime/sigv4/verify.ts';
import type { Log } from '../../stream/ports.ts';

const events: string[] = [];
const record = (event: string): void => {
  events.push(event);
};
const log: Log = {
  debug: record,
  info: record,
  notice: record,
  warn: record,
  error: record,
  child: () => log,
};

let open: Listener | null = null;

afterEach(async () => {
  await open?.close();
  open = null;
  events.length = 0;
});

async function start(
  signed = false,
  bodyLimits: Partial<BodyLimits> = {},
  limits: Partial<WireLimits> = {},
): Promise<Listener> {
  const onRequest = awsRpcHandler({
    services: [
      {
        model: KINESIS_MODEL,
        operations: {
          ListStreams: { input: 'ListStreamsInput', handle: (input) => Promise.resolve({ echo: input }) },
          DeleteStream: { input: 'DeleteStreamInput', handle: () => Promise.resolve(undefined) },
          DescribeLimits: { input: 'DescribeLimitsInput', handle: () => Promise.reject(new Error('boom')) },
          DescribeStream: {
            input: 'DescribeStreamInput',
            handle: async () => {
              await new Promise((resolve) => setTimeout(resolve, 60));
              return {};
            },
          },
          ListShards: { input: 'ListShardsInput', handle: () => new Promise(() => undefined) },
        },
      },
    ],
    verify: (request, body, service, origin) => {
      const caller = { ...origin, accessKeyId: 'anyone', principal: rootOf('000000000000') };
      if (signed) verifyRequest(request, body, { service, now: Date.now, findSecret: () => 'secret' });
      return caller;
    },
    log,
    bodyLimits: { bytes: 1000, ...bodyLimits },
  });
  open = await openListener({
    host: '127.0.0.1',
    port: 0,
    onRequest,
    limits: { helloMs: 200, ...limits },
    drainMs: 300,
  });
  return open;
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

const JSON_TYPE = 'application/x-amz-json-1.1';

function headersFor(operation: string): Record<string, string> {
  return { 'content-type': JSON_TYPE, 'x-amz-target': `Kinesis_20131202.${operation}` };
}

async function http1(
  port: number,
  headers: Record<string, string>,
  body: string | Buffer,
  method = 'POST',
): Promise<Reply> {
  const request = httpRequest({ host: '127.0.0.1', port, method, headers });
  request.end(body);
  const [response] = (await once(request, 'response')) as [import('node:http').IncomingMessage];
  let text = '';
  // Byte by byte: not every body is text.
  for await (const chunk of response) text += (chunk as Buffer).toString('latin1');
  return { status: response.statusCode ?? 0, headers: response.headers, body: text };
}

async function http2(url: string, headers: Record<string, string>, body: string): Promise<Reply> {
  const session = http2Connect(url);
  const stream = session.request({ ':method': 'POST', ':path': '/', ...headers });
  let received: Record<string, unknown> = {};
  stream.on('response', (given) => {
    received = { ...given };
  });
  stream.end(body);
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  session.close();
  return { status: Number(received[':status']), headers: received, body: text };
}

test('the same request over HTTP/1.1 and h2c', async () => {
  const { port, url } = await start();
  for (const reply of [
    await http1(port, headersFor('ListStreams'), '{"Limit":1,"x":2}'),
    await http2(url, headersFor('ListStreams'), '{"Limit":1,"x":2}'),
  ]) {
    expect(reply.status).toBe(200);
    expect(reply.body).toBe('{"echo":{"Limit":1}}');
    expect(reply.headers['content-type']).toBe(JSON_TYPE);
    expect(reply.headers['x-amzn-requestid']).toMatch(/^[0-9a-f-]{36}$/);
    expect(String(reply.headers['x-amz-id-2'])).toHaveLength(96);
    expect(reply.headers['date']).toBeTypeOf('string');
  }
});

test('signatures are checked over both protocols, :authority too', async () => {
  const { port, url } = await start(true);
  const options = { region: 'us-east-1', service: 'kinesis', now: Date.now() };
  const credentials = { accessKeyId: 'AK', secretAccessKey: 'secret' };
  const body = '{}';
  const base = { method: 'POST', url: '/', body };
  const host = { ...headersFor('ListStreams'), host: `127.0.0.1:${port}` };
  const one = await http1(port, signRequest({ ...base, headers: host }, credentials, options), body);
  expect(one.status).toBe(200);
  const authority = { ...headersFor('ListStreams'), ':authority': `127.0.0.1:${port}` };
  const two = await http2(url, signRequest({ ...base, headers: authority }, credentials, options), body);
  expect(two.status).toBe(200);
  expect((await http1(port, headersFor('ListStreams'), '{"Limit":"x"}')).body).toBe(
    '{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}',
  );
});

test('empty output has length 0; an unknown error is InternalFailure and one log line', async () => {
  const { port } = await start();
  const empty = await http1(port, headersFor('DeleteStream'), '{"StreamName":"s"}');
  expect([empty.status, empty.body, empty.headers['content-length']]).toEqual([200, '', '0']);
  const failed = await http1(port, headersFor('DescribeLimits'), '{}');
  expect([failed.status, failed.body]).toEqual([500, '{"__type":"InternalFailure"}']);
  expect(events).toEqual(['request failed']);
});

test('the order of checks', async () => {
  const { port } = await start();
  const known = headersFor('ListStreams');
  const unknown = headersFor('Nothing');
  const xml = { 'x-amz-target': 'Kinesis_20131202.ListStreams', 'content-type': 'text/plain' };
  const rows: [Record<string, string>, string | Buffer, string, number, string | RegExp][] = [
    [known, '', 'GET', 403, /^<AccessDeniedException>\n {2}<Message>Unable/],
    [known, '', 'POST', 400, '{"__type":"SerializationException"}'],
    [unknown, '', 'POST', 400, '{"__type":"UnknownOperationException"}'],
    [{}, 'x', 'POST', 403, /^<AccessDeniedException>/],
    [xml, 'x', 'POST', 404, '<UnknownOperationException/>\n'],
    [known, '[]', 'POST', 400, '{"__type":"SerializationException"}'],
    [known, Buffer.from([0x22, 0xff, 0x22]), 'POST', 400, '{"__type":"SerializationException"}'],
    [known, '['.repeat(900), 'POST', 400, '{"__type":"SerializationException"}'],
    [unknown, '{}', 'POST', 400, '{"__type":"UnknownOperationException"}'],
    [
      { ...known, 'content-type': 'application/json' },
      '{}',
      'POST',
      404,
      '{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}',
    ],
    [{ ...known, 'content-type': 'application/json' }, '{', 'POST', 400, /#SerializationException/],
    [
      known,
      '{"Limit":"x"}',
      'POST',
      400,
      '{"__type":"SerializationException","Message":"class java.lang.String can not be converted to an Integer"}',
    ],
  ];
  for (const [headers, body, method, status, text] of rows) {
    const reply = await http1(port, headers, body, method);
    expect(reply.status, `${method} ${String(body).slice(0, 20)}`).toBe(status);
    expect(reply.body).toEqual(text instanceof RegExp ? expect.stringMatching(text) : text);
  }
});

test('CBOR in, CBOR out, errors too', async () => {
  const { port } = await start();
  const type = 'application/x-amz-cbor-1.1';
  const ask = async (operation: string, body: Buffer): Promise<[number, unknown, unknown]> => {
    const headers = { ...headersFor(operation), 'content-type': type };
    const { status, headers: given, body: text } = await http1(port, headers, body);
    return [status, given['content-type'], readCbor(Buffer.from(text, 'latin1'))];
  };
  const one = Buffer.from('bf654c696d697401ff', 'hex');
  expect(await ask('ListStreams', one)).toEqual([200, type, { echo: { Limit: 1 } }]);
  const wrong = Buffer.from('a1654c696d69746178', 'hex');
  const Message = 'class java.lang.String can not be converted to an Integer';
  expect(await ask('ListStreams', wrong)).toEqual([400, type, { __type: 'SerializationException', Message }]);
  const cut = one.subarray(0, 5);
  expect(await ask('ListStreams', cut)).toEqual([400, type, { __type: 'SerializationException' }]);
  expect(await ask('Nothing', one)).toEqual([400, type, { __type: 'UnknownOperationException' }]);
});

test('CORS: preflight and exposed headers', async () => {
  const { port } = await start();
  const ask = {
    origin: 'http://a',
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'x-amz-target',
  };
  const { status, headers } = await http1(port, ask, '', 'OPTIONS');
  expect(status).toBe(200);
  expect(headers['access-control-allow-origin']).toBe('*');
  expect(headers['access-control-allow-methods']).toBe('POST');
  expect(headers['access-control-allow-headers']).toBe('x-amz-target');
  expect(headers['access-control-max-age']).toBe('172800');
  expect(headers['access-control-expose-headers']).toContain('x-amzn-RequestId');
});

test('413 over both protocols', async () => {
  const { port, url } = await start();
  expect((await http1(port, headersFor('ListStreams'), 'x'.repeat(200_000))).status).toBe(413);
  expect((await http2(url, headersFor('ListStreams'), 'x'.repeat(200_000))).status).toBe(413);
});

test('a client that goes away during the operation harms nobody', async () => {
  const { port, url } = await start();
  const headers = headersFor('DescribeStream');
  const session = http2Connect(url);
  const stream = session.request({ ':method': 'POST', ':path': '/', ...headers });
  stream.on('error', () => undefined);
  stream.end('{"StreamName":"s"}');
  const request = httpRequest({ host: '127.0.0.1', port, method: 'POST', headers });
  request.on('error', () => undefined);
  request.end('{"StreamName":"s"}');
  await new Promise((resolve) => setTimeout(resolve, 30));
  stream.close(8);
  request.destroy();
  await new Promise((resolve) => setTimeout(resolve, 80));
  session.close();
  expect(events).toEqual([]);
  expect((await http1(port, headersFor('ListStreams'), '{}')).status).toBe(200);
});

async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write(bytes);
  let text = '';
  socket.on('data', (chunk) => {
    text += String(chunk);
  });
  await once(socket, 'close');
  return text;
}

test('malformed bytes end the connection and nothing else', async () => {
  const { port } = await start();
  expect(await raw(port, 'garbage\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/);
  await raw(port, 'PRI nonsense that is no preface at all\r\n\r\n');
  // Two bytes and silence: cut at the deadline.
  expect(await raw(port, 'PO')).toBe('');
  expect((await http1(port, headersFor('ListStreams'), '{}')).status).toBe(200);
});

test('a request in small pieces is served', async () => {
  const { port } = await start();
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.setNoDelay(true);
  for (const piece of [
    'P',
    'O',
    'ST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n',
    'Connection: close\r\n\r\n',
  ]) {
    socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  const [chunk] = (await once(socket, 'data')) as [Buffer];
  expect(String(chunk)).toMatch(/^HTTP\/1\.1 400/);
  socket.destroy();
});

test('slow clients are cut off: in the headers, in the body, over both protocols', async () => {
  const { port, url } = await start(false, { idleMs: 150 }, { headersMs: 150, deadlineSweepMs: 30 });
  expect(await raw(port, 'POST / HTTP/1.1\r\nHost: a\r\nX-Slow')).toMatch(/^HTTP\/1\.1 408/);
  const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{';
  expect(await raw(port, head)).toBe('');
  const session = http2Connect(url);
  const stream = session.request({ ':method': 'POST', ':path': '/', ...headersFor('ListStreams') });
  stream.on('error', () => undefined);
  stream.write('{');
  await once(stream, 'close');
  session.close();
  expect((await http1(port, headersFor('ListStreams'), '{}')).status).toBe(200);
});

test('a connection of HTTP/2 on which nothing moves is closed, a broken one too', async () => {
  const { port, url } = await start(false, {}, { keepAliveMs: 150 });
  const session = http2Connect(url);
  const goaway = once(session, 'goaway');
  await once(session, 'close');
  await goaway;
  // A frame of an impossible length: the server says so, and then nothing more.
  expect(await raw(port, `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'\u00ff'.repeat(500)}`)).not.toBe('');
});

test('bodies on their way are bounded together', async () => {
  const { port } = await start(false, { allBytes: 900 });
  const waiting = httpRequest({
    host: '127.0.0.1',
    port,
    method: 'POST',
    headers: headersFor('ListStreams'),
  });
  waiting.on('error', () => undefined);
  waiting.write(' '.repeat(600));
  const refusals = async (): Promise<Reply> => http1(port, headersFor('ListStreams'), ' '.repeat(500));
  // Until the first one has arrived.
  let reply = await refusals();
  for (let n = 0; reply.status !== 503 && n < 100; n += 1) reply = await refusals();
  expect([reply.status, reply.body]).toEqual([503, expect.stringContaining('ServiceUnavailable')]);
  waiting.destroy();
  for (let n = 0; reply.status === 503 && n < 100; n += 1) reply = await refusals();
  expect(reply.status).toBe(400);
});

test('connections beyond the bound are closed', async () => {
  const { port } = await start(false, {}, { connections: 1 });
  const held = connect(port, '127.0.0.1');
  await once(held, 'connect');
  expect(await raw(port, 'GET / HTTP/1.1\r\n\r\n')).toBe('');
  held.destroy();
});

test('close ends idle, half-open and stuck connections in bounded time', async () => {
  const listener = await start();
  const session = http2Connect(listener.url);
  session.on('error', () => undefined);
  const stuck = session.request({ ':method': 'POST', ':path': '/', ...headersFor('ListShards') });
  stuck.on('error', () => undefined);
  stuck.end('{}');
  const goaway = once(session, 'goaway');
  const idle = connect(listener.port, '127.0.0.1');
  idle.on('error', () => undefined);
  await once(idle, 'connect');
  await new Promise((resolve) => setTimeout(resolve, 30));
  const began = Date.now();
  await Promise.all([listener.close(), listener.close()]);
  expect(Date.now() - began).toBeLessThan(1500);
  await goaway;
  session.destroy();
});
