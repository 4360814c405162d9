// Goal: whatever comes to the door of a server, it answers with an error of AWS's shape or hangs up, stays within its
// memory, and serves the next one. Method: a real server, and bytes that no client would send.
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { randomOf } from '../seeded-random.ts';

const MIB = 1024 * 1024;
/** Of the largest body several times over, and of what Node takes anyway. */
const GROWTH_BYTES_MAX = 200 * MIB;
const ROUNDS = process.env['NIGHTLY'] === 'true' ? 2_000 : 60;

let server: RunningServer;
let port = 0;
let startBytes = 0;
beforeAll(async () => {
  server = await startServer({
    env: { TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true', TRIBUTARY_SERVER_TLS_PORT: '0' },
  });
  port = Number(new URL(server.httpUrl).port);
  await post(JSON_TYPE, Buffer.from('{}'));
  startBytes = peakBytes();
});
afterAll(stopAll);

afterEach(async () => {
  expect((await fetch(`${server.httpUrl}/healthz`)).status).toBe(200);
  expect(peakBytes() - startBytes).toBeLessThan(GROWTH_BYTES_MAX);
  expect(server.events().filter(({ level }) => level === 'error')).toEqual([]);
});

/** The most it ever had resident. */
function peakBytes(): number {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

const JSON_TYPE = 'application/x-amz-json-1.1';
const CBOR_TYPE = 'application/x-amz-cbor-1.1';

async function post(type: string, body: Buffer, target = 'Kinesis_20131202.PutRecords') {
  const headers = { 'content-type': type, 'x-amz-target': target };
  const response = await fetch(server.httpUrl, { method: 'POST', headers, body: new Uint8Array(body) });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, text: bytes.toString('latin1') };
}

const filled = (start: string, part: string, end: string): Buffer => {
  const count = Math.floor((15.9 * MIB - start.length - end.length) / part.length);
  return Buffer.from(start + part.repeat(count) + end);
};

const JSON_BODIES: readonly (readonly [string, Buffer])[] = [
  ['nothing but brackets', filled('{"a":', '[', '')],
  ['maps in maps', filled('', '{"a":', '')],
  ['millions of empty lists', filled('{"a":[', '[],', '[]]}')],
  ['millions of members', filled('{', '"a":1,', '"b":1}')],
  ['one number of millions of digits', filled('{"Limit":', '9', '}')],
  ['one string of escapes', filled('{"StreamName":"', '\\u0000', '"}')],
  ['a cut string', filled('{"StreamName":"', 'a', '')],
  ['broken UTF-8', Buffer.concat([Buffer.from('{"a":"'), Buffer.alloc(MIB, 0xff), Buffer.from('"}')])],
  ['a NUL', Buffer.from('{"a":\0}')],
  ['a list', Buffer.from('[{}]')],
];

test.each(JSON_BODIES)('JSON: %s', async (_name, body) => {
  const { status, text } = await post(JSON_TYPE, body);
  expect([status, text]).toEqual([400, expect.stringMatching(/"__type":"\w+Exception"/)]);
});

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');
const CBOR_BODIES: readonly (readonly [string, Buffer])[] = [
  ['lists in lists', Buffer.alloc(15 * MIB, 0x81)],
  ['indefinite lists in lists', Buffer.alloc(15 * MIB, 0x9f)],
  ['tags of tags', Buffer.alloc(15 * MIB, 0xc1)],
  ['millions of empty lists', Buffer.concat([hex('9a00efffff'), Buffer.alloc(0xefffff, 0x80)])],
  ['a list of 2^63', hex('9b8000000000000000')],
  ['bytes of 2^32', hex('5a ffffffff 00')],
  ['a string in millions of parts', Buffer.concat([hex('7f'), Buffer.alloc(15 * MIB, 0x60), hex('ff')])],
  ['a key twice', hex('a2 6161 01 6161 02')],
  ['a truncated map', hex('bf 6161')],
  ['two values', hex('a0a0')],
  ['broken UTF-8', hex('a1 6161 61ff')],
];

test.each(CBOR_BODIES)('CBOR: %s', async (_name, body) => {
  const { status, text } = await post(CBOR_TYPE, body);
  expect(status).toBe(400);
  expect(text).toContain('SerializationException');
});

/** A server may keep a connection that it will not read any more, until that has been idle too long. */
const PATIENCE_MS = 200;

/** What the server says until it hangs up, or does nothing more. */
async function say(socket: Socket, ...parts: readonly (string | Buffer)[]): Promise<string> {
  let said = '';
  socket.on('error', () => undefined);
  const over = new Promise<void>((resolve) => {
    const patience = setTimeout(resolve, PATIENCE_MS);
    socket.on('data', (chunk: Buffer) => {
      patience.refresh();
      said = (said + chunk.toString('latin1')).slice(0, 10_000);
    });
    socket.on('drain', () => patience.refresh());
    socket.once('close', resolve);
  });
  for (const part of parts) socket.write(part);
  socket.end();
  await over;
  socket.destroy();
  return said;
}

const HEAD = 'POST / HTTP/1.1\r\nHost: a\r\n';
const HTTP_REQUESTS: readonly (readonly [string, string])[] = [
  ['a header without end', `${HEAD}X: ${'a'.repeat(2 * MIB)}`],
  ['headers without end', HEAD + 'X: a\r\n'.repeat(200_000)],
  ['a path without end', `GET /${'a'.repeat(2 * MIB)}`],
  ['two lengths', `${HEAD}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}`],
  ['length and chunks', `${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`],
  ['a negative length', `${HEAD}Content-Length: -1\r\n\r\n{}`],
  ['a length of 2^64', `${HEAD}Content-Length: 18446744073709551616\r\n\r\n{}`],
  ['a chunk of no size', `${HEAD}Transfer-Encoding: chunked\r\n\r\nxyz\r\n`],
  ['a body that is cut', `${HEAD}Content-Length: 100\r\n\r\n{}`],
  ['a control character in a header', `${HEAD}X-Amz-Target: a\0b\r\n\r\n`],
  ['an unknown version', 'GET / HTTP/9.9\r\n\r\n'],
  ['no request at all', 'nonsense\r\n\r\n'],
];

test.each(HTTP_REQUESTS)('HTTP/1.1: %s', async (_name, request) => {
  const said = await say(connect(port, '127.0.0.1'), request);
  expect(said).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
});

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
};
const SETTINGS = frame(4, 0, 0, Buffer.alloc(0));
/** `:method: POST`, `:scheme: http`, `:path: /` of the static table. */
const REQUEST = hex('83 86 84');
const repeated = (count: number, make: (index: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));

const FRAMES: readonly (readonly [string, Buffer])[] = [
  ['a flood of settings', repeated(50_000, () => SETTINGS)],
  ['a flood of pings', repeated(50_000, () => frame(6, 0, 0, Buffer.alloc(8)))],
  [
    'requests that are reset at once',
    repeated(20_000, (index) =>
      Buffer.concat([
        frame(1, 5, 2 * index + 1, REQUEST),
        frame(3, 0, 2 * index + 1, Buffer.from([0, 0, 0, 8])),
      ]),
    ),
  ],
  [
    'a header block without end',
    Buffer.concat([frame(1, 0, 1, REQUEST), repeated(5_000, () => frame(9, 0, 1, Buffer.alloc(1_000)))]),
  ],
  ['a frame that is too long', frame(0, 0, 1, Buffer.alloc(MIB))],
  ['data of no stream', repeated(1_000, () => frame(0, 0, 7, Buffer.alloc(100)))],
  ['an even stream', frame(1, 5, 2, REQUEST)],
  ['a window beyond its bound', frame(8, 0, 0, hex('7fffffff'))],
  [
    'headers of random bytes',
    frame(1, 5, 1, Buffer.from(Array.from({ length: 200 }, (_, n) => (n * 77) & 255))),
  ],
  ['no frame at all', Buffer.alloc(4_096, 0xff)],
];

test.each(FRAMES)('HTTP/2: %s', async (_name, frames) => {
  await say(connect(port, '127.0.0.1'), Buffer.concat([PREFACE, SETTINGS]), frames);
});

test('TLS: what is no handshake, and frames behind a good one', async () => {
  const tlsPort = Number(new URL(String(server.ready['httpsUrl'])).port);
  await say(connect(tlsPort, '127.0.0.1'), Buffer.alloc(100_000, 0x16));
  const options = { host: '127.0.0.1', port: tlsPort, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
  await say(
    tlsConnect(options),
    PREFACE,
    repeated(20_000, () => SETTINGS),
  );
  await say(tlsConnect({ ...options, ALPNProtocols: ['http/1.1'] }), 'nonsense\r\n\r\n');
});

test('bytes of all kinds', async () => {
  const seed = Number(process.env['SEED'] ?? 1);
  const random = randomOf(seed);
  for (let round = 0; round < ROUNDS; round += 1) {
    const bytes = Buffer.from(
      Array.from({ length: 1 + Math.floor(random() * 300) }, () => Math.floor(random() * 256)),
    );
    const start = [Buffer.alloc(0), PREFACE, Buffer.concat([PREFACE, SETTINGS]), Buffer.from(HEAD)][
      round % 4
    ];
    await say(connect(port, '127.0.0.1'), start ?? '', bytes);
    const type = round % 2 === 0 ? JSON_TYPE : CBOR_TYPE;
    expect((await post(type, bytes)).status, `SEED=${seed}, round ${round}`).toBe(400);
  }
});
