// Goal: whoever is not the gateway, and whatever is not a block, gets the precise refusal on the link and changes
// nothing. Method: a hand-made gateway over a real WebSocket, enrolled at a real server.
import { createHash, generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { encodeBlock } from '../../stream/block.ts';
import { codecFor } from '../../runtime/codecs.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { encodeBlockFrame } from '../../sync/protocol.ts';
import { challengeText, helloText, isSignedBy } from '../../sync/signatures.ts';
import { FRAME, blockOf, numberedRecords, record } from '../blocks.ts';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { fleet, kinesis } from '../signed-requests.ts';

interface Message {
  readonly type: string;
  readonly [member: string]: unknown;
}

interface Gateway {
  readonly id: string;
  readonly privateKey: KeyObject;
  token: string;
}

let server: RunningServer;
beforeEach(async () => {
  server = await startServer();
});
afterEach(stopAll);

async function enrolGateway(allowedStreams?: readonly string[]): Promise<Gateway> {
  const { body } = await fleet(server.httpUrl, 'POST', '/api/v1/enrolment-codes', { allowedStreams });
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const answer = await fetch(`${server.httpUrl}/sync/v1/enrol`, {
    method: 'POST',
    body: JSON.stringify({
      code: body['code'],
      publicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
      name: 'by hand',
      nonce: randomBytes(32).toString('base64'),
    }),
  });
  const { gateway, token } = (await answer.json()) as { gateway: string; token: string };
  return { id: gateway, privateKey, token };
}

class Session {
  readonly socket: WebSocket;
  readonly #messages: Message[] = [];

  constructor() {
    this.socket = new WebSocket(`${server.httpUrl.replace('http', 'ws')}/sync/v1`);
    this.socket.on('error', () => undefined);
    this.socket.on('message', (data: Buffer) => {
      this.#messages.push(JSON.parse(data.toString('utf8')) as Message);
      this.socket.emit('parsed');
    });
    this.socket.on('close', () => this.socket.emit('parsed'));
  }

  send(message: object | string | Uint8Array): void {
    if (message instanceof Uint8Array || typeof message === 'string') this.socket.send(message);
    else
      this.socket.send(
        JSON.stringify(message, (_key, value: unknown) =>
          typeof value === 'bigint' ? String(value) : value,
        ),
      );
  }

  async next(): Promise<Message> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      if (this.socket.readyState === WebSocket.CLOSED) return { type: 'closed' };
      await once(this.socket, 'parsed');
    }
  }

  /** Up to the challenge, whose signature must be the server's. */
  async open(id: string): Promise<Message> {
    if (this.socket.readyState !== WebSocket.OPEN) await once(this.socket, 'open');
    const nonce = randomBytes(32).toString('base64');
    this.send({ type: 'open', version: 1, gateway: id, nonce });
    const message = await this.next();
    if (message.type !== 'challenge') return message;
    const key = Buffer.from(String(message['publicKey']), 'base64');
    const text = challengeText(id, nonce, String(message['nonce']));
    expect(isSignedBy(text, String(message['signature']), key)).toBe(true);
    return message;
  }

  async hello(gateway: Gateway, privateKey = gateway.privateKey): Promise<Message> {
    const challenge = await this.open(gateway.id);
    const text = helloText(gateway.id, String(challenge['nonce']), gateway.token);
    const signature = sign(null, text, privateKey).toString('base64');
    this.send({ type: 'hello', signature, token: gateway.token, programVersion: 'by hand' });
    const answer = await this.next();
    if (answer.type === 'welcome') {
      gateway.token = String(answer['token']);
      this.send({ type: 'confirm' });
    }
    return answer;
  }

  async lane(stream = 'telemetry', index = 0): Promise<Message> {
    const incarnation = randomUUID();
    this.send({ type: 'lane', lane: index, stream, class: 'normal', incarnation, base: 0n, from: 0n });
    return this.next();
  }
}

async function ready(): Promise<Session> {
  const session = new Session();
  expect((await session.hello(await enrolGateway())).type).toBe('welcome');
  expect((await session.lane()).type).toBe('laneState');
  return session;
}

/** Everything the server holds, as a fingerprint. */
async function stored(): Promise<string> {
  const { body } = await kinesis(server.httpUrl, 'ListStreams', {});
  const names = body['StreamNames'] as string[];
  const pages: string[] = [];
  for (const StreamName of names) {
    const ShardId = 'shardId-000000000000';
    const input = { StreamName, ShardId, ShardIteratorType: 'TRIM_HORIZON' };
    const iterator = await kinesis(server.httpUrl, 'GetShardIterator', input);
    const page = await kinesis(server.httpUrl, 'GetRecords', {
      ShardIterator: iterator.body['ShardIterator'],
    });
    pages.push(`${StreamName} ${JSON.stringify(page.body['Records'])}`);
  }
  return createHash('sha256').update(pages.join('\n')).digest('hex');
}

describe('who may open a session', () => {
  it('not a gateway that nobody enrolled', async () => {
    const refusal = await new Session().open('gw-nobody');
    expect(refusal).toMatchObject({ type: 'refused', code: 'GATEWAY_UNKNOWN' });
    expect(refusal['message']).toContain('gw-nobody');
  });

  it('not somebody with another key', async () => {
    const gateway = await enrolGateway();
    const other = generateKeyPairSync('ed25519').privateKey;
    expect(await new Session().hello(gateway, other)).toMatchObject({ code: 'GATEWAY_SIGNATURE' });
  });

  it('not with an older token while a session is alive', async () => {
    const gateway = await enrolGateway();
    const old = { ...gateway };
    expect((await new Session().hello(gateway)).type).toBe('welcome');
    const second = new Session();
    expect((await second.hello(gateway)).type).toBe('welcome');
    await second.lane();
    expect(await new Session().hello(old)).toMatchObject({ type: 'refused', code: 'GATEWAY_CLONED' });
    const { body } = await fleet(server.httpUrl, 'GET', '/api/v1/gateways');
    expect(JSON.stringify(body)).toContain('"cloned"');
  });

  it('not with a protocol that is not spoken', async () => {
    const session = new Session();
    await once(session.socket, 'open');
    session.send({ type: 'open', version: 99, gateway: 'gw-1', nonce: randomBytes(32).toString('base64') });
    expect(await session.next()).toMatchObject({ type: 'refused', code: 'PROTOCOL_ERROR' });
  });
});

describe('what may be said', () => {
  it.each([
    ['no JSON', 'hello'],
    ['no object', '[]'],
    ['an unknown message', '{"type":"drop"}'],
    ['a message before the hello', '{"type":"confirm"}'],
    ['a member of the wrong type', '{"type":"open","version":"1","gateway":"gw-1","nonce":""}'],
    ['a control frame that is too large', JSON.stringify({ type: 'open', pad: 'x'.repeat(600_000) })],
    ['a block before the hello', Buffer.from([1, 0, 0, 0, 1, 2, 3])],
  ])('not %s', async (_name, frame) => {
    const session = new Session();
    await once(session.socket, 'open');
    session.send(frame);
    expect(await session.next()).toMatchObject({ type: 'refused', code: 'PROTOCOL_ERROR' });
    expect(await session.next()).toEqual({ type: 'closed' });
  });

  it('not a stream that the enrolment does not allow; its other lanes go on', async () => {
    const session = new Session();
    expect((await session.hello(await enrolGateway(['plant.*']))).type).toBe('welcome');
    expect(await session.lane('telemetry', 0)).toMatchObject({
      type: 'laneRefused',
      code: 'STREAM_NOT_ALLOWED',
    });
    expect(await session.lane('plant.1', 1)).toMatchObject({ type: 'laneState', last: '0' });
    session.send(encodeBlockFrame(1, blockOf(numberedRecords(3))));
    expect(await session.next()).toEqual({ type: 'ack', lane: 1, ordinal: '3' });
    const { body } = await kinesis(server.httpUrl, 'ListStreams', {});
    expect(body['StreamNames']).toEqual(['plant.1']);
  });
});

/** A block changed behind its checksum, which is then made right again: only the walk of the block can find the lie. */
function lying(change: (block: Buffer) => void): Uint8Array {
  const block = Buffer.from(blockOf(numberedRecords(4)));
  change(block);
  block.writeUInt32LE(nodeDigest.crc32(block.subarray(8)), 4);
  return block;
}

describe('what is no block', () => {
  it.each([
    [
      'whose checksum is wrong',
      () => lying(() => undefined).map((byte, at) => (at === 90 ? byte ^ 1 : byte)),
      'BLOCK_CHECKSUM',
    ],
    ['that counts a record more', () => lying((block) => block.writeUInt16LE(5, 20)), 'BLOCK_MALFORMED'],
    ['that counts a record less', () => lying((block) => block.writeUInt16LE(3, 20)), 'BLOCK_MALFORMED'],
    ['that has no records', () => lying((block) => block.writeUInt16LE(0, 20)), 'BLOCK_MALFORMED'],
    [
      'whose length is another one',
      () => lying((block) => block.writeUInt32LE(block.length + 1, 12)),
      'BLOCK_MALFORMED',
    ],
    [
      'whose raw length is another one',
      () => lying((block) => block.writeUInt32LE(7, 16)),
      'BLOCK_MALFORMED',
    ],
    ['of an unknown codec', () => lying((block) => block.writeUInt8(9, 9)), 'CODEC_UNKNOWN'],
    ['of an unknown version', () => lying((block) => block.writeUInt8(2, 8)), 'BLOCK_MALFORMED'],
    [
      'of another class than its lane',
      () => blockOf(numberedRecords(4), { class: 'alarm' }),
      'PROTOCOL_ERROR',
    ],
    ['without ordinals', () => blockOf(numberedRecords(4), { firstOrdinal: 0n }), 'PROTOCOL_ERROR'],
    ['that leaves ordinals out', () => blockOf(numberedRecords(4), { firstOrdinal: 2n }), 'LANE_GAP'],
    [
      'whose record length runs past its end',
      () => lying((block) => block.fill(0xff, block.length - 20)),
      'BLOCK_MALFORMED',
    ],
    ['that is cut short', () => blockOf(numberedRecords(4)).subarray(0, 100), 'BLOCK_MALFORMED'],
    ['that is random', () => randomBytes(500), 'BLOCK_MALFORMED'],
  ])('a block %s is refused and nothing is stored', async (_name, block, code) => {
    const session = await ready();
    const before = await stored();
    session.send(encodeBlockFrame(0, block()));
    expect(await session.next()).toMatchObject({ type: 'refused', code });
    expect(await session.next()).toEqual({ type: 'closed' });
    expect(await stored()).toBe(before);
  });

  it('for a stream that was deleted meanwhile is refused and told once, however many are under way', async () => {
    const session = await ready();
    const block = (n: number) => blockOf(numberedRecords(4), { firstOrdinal: BigInt(n * 4 + 1) });
    session.send(encodeBlockFrame(0, block(0)));
    expect(await session.next()).toMatchObject({ type: 'ack', ordinal: '4' });
    await kinesis(server.httpUrl, 'DeleteStream', { StreamName: 'telemetry' });
    for (let n = 1; n < 50; n += 1) session.send(encodeBlockFrame(0, block(n)));
    expect(await session.next()).toMatchObject({ type: 'refused', code: 'LANE_GAP' });
    expect(await session.next()).toEqual({ type: 'closed' });
    await server.kill('SIGTERM');
    const told = server.events().filter(({ event }) => event === 'sync session refused');
    expect(told).toHaveLength(1);
  });
});

describe('what is taken', () => {
  it('exactly the next ordinals, however they are cut, in one answer or many', async () => {
    const session = await ready();
    const all = Array.from({ length: 10 }, (_, index) => record('device', `reading ${index}`));
    const cut = (from: number, to: number): Uint8Array =>
      encodeBlockFrame(0, blockOf(all.slice(from, to), { firstOrdinal: BigInt(from + 1) }));
    for (const frame of [cut(0, 4), cut(2, 6), cut(0, 6), cut(6, 7), cut(3, 10)]) session.send(frame);
    let last = '';
    while (last !== '10') last = String((await session.next())['ordinal']);
    const ShardId = 'shardId-000000000000';
    const input = { StreamName: 'telemetry', ShardId, ShardIteratorType: 'TRIM_HORIZON' };
    const iterator = await kinesis(server.httpUrl, 'GetShardIterator', input);
    const page = await kinesis(server.httpUrl, 'GetRecords', {
      ShardIterator: iterator.body['ShardIterator'],
    });
    const texts = (page.body['Records'] as { Data: string }[]).map(({ Data }) =>
      Buffer.from(Data, 'base64').toString(),
    );
    expect(texts).toEqual(all.map(({ data }) => Buffer.from(data).toString()));
  });

  it('reads blocks of the codecs that its welcome names, and refuses others', async () => {
    const gateway = await enrolGateway();
    const session = new Session();
    expect((await session.hello(gateway))['codecs']).toEqual(expect.arrayContaining([1]));
    await session.lane();
    const records = numberedRecords(200);
    session.send(encodeBlockFrame(0, encodeBlock(FRAME, records, nodeDigest, codecFor('auto'))));
    expect(await session.next()).toMatchObject({ type: 'ack', ordinal: '200' });
    const unknown = {
      id: 77,
      name: 'unknown',
      compress: () => new Uint8Array(10),
      decompress: () => new Uint8Array(),
    };
    session.send(
      encodeBlockFrame(0, encodeBlock({ ...FRAME, firstOrdinal: 201n }, records, nodeDigest, unknown)),
    );
    expect(await session.next()).toMatchObject({ type: 'refused', code: 'CODEC_UNKNOWN' });
  });
});
