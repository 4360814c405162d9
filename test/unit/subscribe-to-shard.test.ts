// Goal: records are pushed once, in order, to whoever may have them, until the shard ends or somebody ends it. Method: the
// service over the store in memory behind a real port, and a client that reads the stream's messages.
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect as http2Connect } from 'node:http2';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { kinesisError } from '../../server/kinesis/errors.ts';
import { kinesisService } from '../../server/kinesis/kinesis-service.ts';
import { awsRpcHandler } from '../../server/wire/aws-rpc.ts';
import { CBOR_CODEC } from '../../server/wire/cbor-codec.ts';
import { JSON_CODEC } from '../../server/wire/json-codec.ts';
import { openListener } from '../../server/wire/listener.ts';
import type { Listener } from '../../server/wire/listener.ts';
import { eventMessages } from '../event-messages.ts';
import type { EventMessage } from '../event-messages.ts';
import { CALLER, silent } from '../kinesis-rig.ts';
import { KinesisClient, arnOf } from './kinesis-client.ts';

const STREAM = { StreamName: 's' };
const SHARD = 'shardId-000000000000';

let rig: KinesisClient;
let listener: Listener;
let arn = '';
beforeEach(async () => {
  rig = await KinesisClient.open();
  await rig.call('CreateStream', { ...STREAM, ShardCount: 1 });
  const { Consumer } = await rig.call('RegisterStreamConsumer', {
    StreamARN: arnOf('s'),
    ConsumerName: 'c',
  });
  arn = (Consumer as { ConsumerARN: string }).ConsumerARN;
  const handler = awsRpcHandler({
    services: [kinesisService(rig.context)],
    verify: () => CALLER,
    log: silent,
  });
  listener = await openListener({ host: '127.0.0.1', port: 0, onRequest: handler, drainMs: 1_000 });
});
afterEach(async () => {
  vi.useRealTimers();
  rig.context.subscriptions.close();
  await listener.close();
});

interface Start {
  readonly Type: string;
  readonly SequenceNumber?: string;
  readonly Timestamp?: number;
}

interface Event {
  readonly Records: { Data: string | Uint8Array; SequenceNumber: string; PartitionKey: string }[];
  readonly ContinuationSequenceNumber?: string;
  readonly MillisBehindLatest: number;
  readonly ChildShards?: { ShardId: string; ParentShards: string[] }[];
}

interface Asked {
  readonly http2?: boolean;
  readonly codec?: typeof JSON_CODEC;
  readonly input?: object;
}

interface Opened {
  readonly status: number;
  readonly contentType: unknown;
  readonly body: AsyncIterable<Buffer>;
  pause(): void;
  resume(): void;
  cancel(): void;
}

function headersOf(codec: typeof JSON_CODEC): Record<string, string> {
  return { 'content-type': codec.mediaType, 'x-amz-target': 'Kinesis_20131202.SubscribeToShard' };
}

async function open(start: Start, { http2 = false, codec = JSON_CODEC, input = {} }: Asked): Promise<Opened> {
  const document = { ConsumerARN: arn, ShardId: SHARD, StartingPosition: start, ...input };
  const body = codec.write(document);
  if (http2) {
    const session = http2Connect(listener.url);
    const stream = session.request({ ':method': 'POST', ':path': '/', ...headersOf(codec) });
    stream.once('close', () => session.close());
    stream.on('error', () => undefined);
    stream.end(body);
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    return {
      status: Number(headers[':status']),
      contentType: headers['content-type'],
      body: stream,
      pause: () => void stream.pause(),
      resume: () => void stream.resume(),
      cancel: () => stream.close(8),
    };
  }
  const request = httpRequest({
    port: listener.port,
    method: 'POST',
    headers: headersOf(codec),
    agent: false,
  });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  return {
    status: response.statusCode ?? 0,
    contentType: response.headers['content-type'],
    body: response,
    pause: () => void response.pause(),
    resume: () => void response.resume(),
    cancel: () => void response.destroy(),
  };
}

/** The messages behind the first one, which must be what clients wait for. */
async function subscribe(start: Start, asked: Asked = {}) {
  const opened = await open(start, asked);
  expect([opened.status, opened.contentType]).toEqual([200, 'application/vnd.amazon.eventstream']);
  const messages = eventMessages(opened.body);
  const codec = asked.codec ?? JSON_CODEC;
  const next = async (): Promise<EventMessage | null> => {
    const { value, done } = await messages.next();
    return done === true ? null : value;
  };
  const first = await next();
  expect(first?.headers).toEqual({
    ':message-type': 'event',
    ':event-type': 'initial-response',
    ':content-type': codec.mediaType,
  });
  const event = async (): Promise<Event> => {
    const message = await next();
    expect(message?.headers).toEqual({
      ':message-type': 'event',
      ':event-type': 'SubscribeToShardEvent',
      ':content-type': codec.mediaType,
    });
    return codec.parse(message?.payload ?? Buffer.alloc(0)) as Event;
  };
  const take = async (count: number): Promise<string[]> => {
    const seen: string[] = [];
    while (seen.length < count) seen.push(...textsOf(await event()));
    return seen;
  };
  return { ...opened, next, event, take };
}

function textsOf({ Records }: Event): string[] {
  return Records.map(({ Data }) =>
    (typeof Data === 'string' ? Buffer.from(Data, 'base64') : Buffer.from(Data)).toString(),
  );
}

async function put(...texts: string[]): Promise<string[]> {
  const { Records } = await rig.call('PutRecords', {
    ...STREAM,
    Records: texts.map((text) => ({ Data: Buffer.from(text).toString('base64'), PartitionKey: 'k' })),
  });
  return (Records as { SequenceNumber: string }[]).map(({ SequenceNumber }) => SequenceNumber);
}

/** The end of the stream: the exception it ends with, or null when it ends in peace. */
async function endOf(stream: { next(): Promise<EventMessage | null> }): Promise<string | null> {
  for (let message = await stream.next(); message !== null; message = await stream.next()) {
    if (message.headers[':message-type'] !== 'exception') continue;
    expect(await stream.next()).toBeNull();
    const { message: text } = JSON.parse(message.payload.toString()) as { message: string };
    return `${message.headers[':exception-type']}: ${text}`;
  }
  return null;
}

const TRIM: Start = { Type: 'TRIM_HORIZON' };
const LATEST: Start = { Type: 'LATEST' };

describe.each([
  ['HTTP/1.1', 'JSON', { http2: false, codec: JSON_CODEC }],
  ['HTTP/1.1', 'CBOR', { http2: false, codec: CBOR_CODEC }],
  ['HTTP/2', 'JSON', { http2: true, codec: JSON_CODEC }],
  ['HTTP/2', 'CBOR', { http2: true, codec: CBOR_CODEC }],
])('over %s in %s', (_http, _encoding, asked) => {
  it('what is there comes first, then every record as it is put, once and in order', async () => {
    await put('a', 'b');
    const stream = await subscribe(TRIM, asked);
    expect(await stream.take(2)).toEqual(['a', 'b']);
    for (const text of ['c', 'd', 'e']) {
      await put(text);
      expect(await stream.take(1)).toEqual([text]);
    }
    stream.cancel();
  });

  it('the last event of a closed shard has its children and nothing to go on with', async () => {
    await put('a');
    const stream = await subscribe(TRIM, asked);
    expect((await stream.event()).ContinuationSequenceNumber).toMatch(/^\d{56}$/);
    await put('b');
    await rig.call('SplitShard', { ...STREAM, ShardToSplit: SHARD, NewStartingHashKey: '1000' });
    expect(textsOf(await stream.event())).toEqual(['b']);
    const last = await stream.event();
    expect(last.Records).toEqual([]);
    expect('ContinuationSequenceNumber' in last).toBe(false);
    expect(last.ChildShards?.map(({ ShardId, ParentShards }) => [ShardId, ParentShards])).toEqual([
      ['shardId-000000000001', [SHARD]],
      ['shardId-000000000002', [SHARD]],
    ]);
    expect(await endOf(stream)).toBeNull();
  });

  it('a client that leaves is let go', async () => {
    const stream = await subscribe(LATEST, asked);
    expect(rig.context.subscriptions.count).toBe(1);
    stream.cancel();
    await vi.waitUntil(() => rig.context.subscriptions.count === 0);
    await put('a');
  });
});

describe('a subscription starts', () => {
  it('at each of the five positions', async () => {
    await put('a');
    rig.passMs(1_000);
    const [b = ''] = await put('b', 'c');
    const rows: [Start, string[]][] = [
      [TRIM, ['a', 'b', 'c', 'd']],
      [LATEST, ['d']],
      [{ Type: 'AT_SEQUENCE_NUMBER', SequenceNumber: b }, ['b', 'c', 'd']],
      [{ Type: 'AFTER_SEQUENCE_NUMBER', SequenceNumber: b }, ['c', 'd']],
      [{ Type: 'AT_TIMESTAMP', Timestamp: rig.context.clock.wallMs() / 1000 }, ['b', 'c', 'd']],
    ];
    const streams = [];
    for (const [index, [start]] of rows.entries()) {
      const { Consumer } = await rig.call('RegisterStreamConsumer', {
        StreamARN: arnOf('s'),
        ConsumerName: `c${index}`,
      });
      const { ConsumerARN } = Consumer as { ConsumerARN: string };
      streams.push(await subscribe(start, { input: { ConsumerARN } }));
    }
    await put('d');
    for (const [index, stream] of streams.entries()) {
      const [, expected = []] = rows[index] ?? [];
      expect(await stream.take(expected.length)).toEqual(expected);
      stream.cancel();
    }
  });

  it('behind any ContinuationSequenceNumber without gap or repetition', async () => {
    const sent: string[] = [];
    for (let call = 0; call < 10; call += 1) {
      const texts = Array.from({ length: 1 + (call % 3) }, (_, index) => `${call}.${index}`);
      sent.push(...texts);
      await put(...texts);
    }
    let start = TRIM;
    const seen: string[] = [];
    for (let turn = 0; seen.length < sent.length; turn += 1) {
      const stream = await subscribe(start);
      // Two events of one subscription at most, then a new one.
      for (let count = 0; count <= turn % 2 && seen.length < sent.length; count += 1) {
        const event = await stream.event();
        seen.push(...textsOf(event));
        start = {
          Type: 'AFTER_SEQUENCE_NUMBER',
          SequenceNumber: event.ContinuationSequenceNumber ?? '',
        };
      }
      stream.cancel();
      await vi.waitUntil(() => rig.context.subscriptions.count === 0);
      if (turn < 5) {
        sent.push(`new ${turn}`);
        await put(`new ${turn}`);
      }
    }
    expect(seen).toEqual(sent);
  });

  it('not with what does not fit: an ordinary error, before the first byte', async () => {
    const rows: [Start, object, RegExp][] = [
      [TRIM, { ConsumerARN: `${arn}1` }, /^ResourceNotFoundException: Consumer .* not found\.$/],
      [TRIM, { ShardId: 'shardId-000000000007' }, /^ResourceNotFoundException: Shard .* does not exist$/],
      [TRIM, { DryRun: true }, /^DryRunOperationException/],
      [TRIM, { ConsumerARN: 'c' }, /^ValidationException: .*'consumerARN'/],
      [{ Type: 'AT_TIMESTAMP' }, {}, /^InvalidArgumentException: Must specify timestampInMillis/],
      [{ Type: 'AT_SEQUENCE_NUMBER' }, {}, /^InvalidArgumentException: Must either specify/],
      [
        { Type: 'AT_SEQUENCE_NUMBER', SequenceNumber: '1' },
        {},
        /^InvalidArgumentException: StartingSequenceNumber 1 used in SubscribeToShard on shard/,
      ],
    ];
    for (const [start, input, expected] of rows) {
      const { status, body } = await open(start, { input });
      const chunks: Buffer[] = [];
      for await (const chunk of body) chunks.push(chunk);
      const { __type, message } = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, string>;
      expect([status, `${__type}: ${message}`]).toEqual([400, expect.stringMatching(expected)]);
    }
    expect(rig.context.subscriptions.count).toBe(0);
  });
});

describe('a subscription ends', () => {
  it('when another one of its consumer takes over, five seconds later', async () => {
    const first = await subscribe(LATEST);
    const refused = await open(LATEST, {});
    expect(refused.status).toBe(400);
    rig.passMs(5_000);
    const second = await subscribe(LATEST);
    expect(await endOf(first)).toBe(
      `ResourceInUseException: Another active subscription exists for this consumer: 000000000000:s:${SHARD}:c`,
    );
    await put('a');
    expect(await second.take(1)).toEqual(['a']);
    second.cancel();
  });

  it('with its consumer and with its stream', async () => {
    const one = await subscribe(LATEST);
    await rig.call('DeregisterStreamConsumer', { ConsumerARN: arn });
    expect(await endOf(one)).toBe(`ResourceNotFoundException: Consumer ${arn} was deregistered.`);
    const { Consumer } = await rig.call('RegisterStreamConsumer', {
      StreamARN: arnOf('s'),
      ConsumerName: 'd',
    });
    const { ConsumerARN } = Consumer as { ConsumerARN: string };
    const two = await subscribe(LATEST, { input: { ConsumerARN } });
    await rig.call('DeleteStream', { ...STREAM, EnforceConsumerDeletion: true });
    expect(await endOf(two)).toMatch(/^ResourceNotFoundException: /);
    expect(rig.context.subscriptions.count).toBe(0);
  });

  it('in peace when the server stops, which does not wait for it', async () => {
    const streams = [await subscribe(LATEST), await subscribe(LATEST, { http2: true, input: await other() })];
    rig.context.subscriptions.close();
    await listener.close();
    for (const stream of streams) expect(await endOf(stream)).toBeNull();
  });

  it('after five minutes, and is never silent for more than five seconds', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    const [number = ''] = await put('a');
    const stream = await subscribe(LATEST);
    await vi.advanceTimersByTimeAsync(5_000);
    const quiet = await stream.event();
    expect([quiet.Records, quiet.MillisBehindLatest]).toEqual([[], 0]);
    // Behind what was there when it began, before what comes.
    const [later = ''] = await put('b');
    const continuation = quiet.ContinuationSequenceNumber ?? '';
    expect([number < continuation, continuation < later]).toEqual([true, true]);
    expect(await stream.take(1)).toEqual(['b']);
    await vi.advanceTimersByTimeAsync(294_000);
    const end = endOf(stream);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await end).toBeNull();
  });
});

async function other(): Promise<object> {
  const { Consumer } = await rig.call('RegisterStreamConsumer', {
    StreamARN: arnOf('s'),
    ConsumerName: 'other',
  });
  return { ConsumerARN: (Consumer as { ConsumerARN: string }).ConsumerARN };
}

describe('a slow client', () => {
  it.each([false, true])(
    'gets no more than it takes, and all of it in the end (HTTP/2: %s)',
    async (http2) => {
      const texts = Array.from({ length: 60 }, (_, index) => `${index} `.padEnd(900_000, 'x'));
      for (const text of texts) await put(text);
      let delivered = 0;
      vi.spyOn(rig.context.traffic, 'pushed').mockImplementation((_row, _shard, _consumer, { records }) => {
        delivered += records;
      });
      const stream = await open(TRIM, { http2 });
      stream.pause();
      // Long enough to send everything, if nothing held it back.
      await new Promise((resolve) => setTimeout(resolve, 300));
      const held = delivered;
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(delivered).toBe(held);
      expect(held).toBeLessThan(texts.length);
      const seen: string[] = [];
      for await (const { headers, payload } of eventMessages(stream.body)) {
        if (headers[':event-type'] !== 'SubscribeToShardEvent') continue;
        seen.push(...textsOf(JSON.parse(payload.toString()) as Event));
        if (seen.length >= texts.length) break;
      }
      expect(seen.map((text) => text.split(' ')[0])).toEqual(texts.map((text) => text.split(' ')[0]));
      stream.cancel();
    },
  );
});

it('asks whether the caller may subscribe through the consumer, before the first byte', async () => {
  const asked: string[] = [];
  const authorize = (_caller: object, action: string, resource: string): void => {
    asked.push(`${action} ${resource}`);
    throw new Error('no');
  };
  const entry = kinesisService({ ...rig.context, authorize }).operations['SubscribeToShard'];
  if (entry === undefined || !('stream' in entry)) throw new Error('it is no stream');
  const input = { ConsumerARN: arn, ShardId: SHARD, StartingPosition: TRIM };
  const reply = {} as Parameters<typeof entry.stream>[2];
  await expect(entry.stream(input, CALLER, reply)).rejects.toThrow('no');
  expect(asked).toEqual([`kinesis:SubscribeToShard ${arn}`]);
});

it('records whose key the subscriber may not use end it with the error of KMS, and are not sent', async () => {
  const key = { ...STREAM, EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' };
  await rig.call('StartStreamEncryption', key);
  await put('seen');
  const stream = await subscribe(TRIM);
  expect(await stream.take(1)).toEqual(['seen']);
  vi.spyOn(rig.context.encryption, 'admitRead').mockImplementation(() => {
    throw kinesisError('KMSAccessDeniedException', 'not kms:Decrypt');
  });
  await put('hidden');
  expect(await endOf(stream)).toBe('KMSAccessDeniedException: not kms:Decrypt');
});
