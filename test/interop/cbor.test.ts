// Goal: the service in CBOR as the SDKs for Java speak it. Method: a client by hand, with another implementation's codec:
// maps of unknown length, byte strings, milliseconds under tag 1.
import { Token, Type, decode, encode } from 'cborg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { signRequest } from '../../runtime/sigv4/sign.ts';
import { CREDENTIALS, startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';

class Milliseconds {
  readonly ms: number;

  constructor(ms: number) {
    this.ms = ms;
  }
}

const encodeOptions = {
  typeEncoders: {
    Object: (value: unknown) =>
      value instanceof Milliseconds ? [new Token(Type.tag, 1), new Token(Type.uint, value.ms)] : null,
  },
};
const decodeOptions = {
  tags: { 1: (inner: () => unknown) => new Milliseconds(Number(inner())) },
};

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(stopAll);

const TYPE = 'application/x-amz-cbor-1.1';

/** A map whose length nobody told. */
function body(input: object): Buffer {
  const members = Object.entries(input).flatMap(([key, value]) => [
    Buffer.from(encode(key)),
    Buffer.from(encode(value, encodeOptions)),
  ]);
  return Buffer.concat([Buffer.of(0xbf), ...members, Buffer.of(0xff)]);
}

async function call(operation: string, input: object | Buffer) {
  const bytes = Buffer.isBuffer(input) ? input : body(input);
  const request = {
    method: 'POST',
    url: `${server.httpUrl}/`,
    headers: { 'content-type': TYPE, 'x-amz-target': `Kinesis_20131202.${operation}` },
    body: bytes,
  };
  const options = { region: 'us-east-1', service: 'kinesis', now: Date.now() };
  const { host: _host, ...headers } = signRequest(request, CREDENTIALS, options);
  const response = await fetch(request.url, { method: 'POST', headers, body: new Uint8Array(bytes) });
  const reply = Buffer.from(await response.arrayBuffer());
  if (reply.length > 0) expect(response.headers.get('content-type')).toBe(TYPE);
  const document = reply.length === 0 ? {} : (decode(reply, decodeOptions) as Record<string, unknown>);
  return { status: response.status, document };
}

test('streams and records, with blobs as bytes and times as milliseconds', async () => {
  expect(await call('CreateStream', { StreamName: 's', ShardCount: 1 })).toEqual({
    status: 200,
    document: {},
  });
  const { document: summary } = await call('DescribeStreamSummary', { StreamName: 's' });
  const { StreamCreationTimestamp: created } = summary['StreamDescriptionSummary'] as Record<string, unknown>;
  expect(created).toBeInstanceOf(Milliseconds);
  expect(Math.abs(Date.now() - (created as Milliseconds).ms)).toBeLessThan(60_000);

  const data = [Buffer.of(0, 255, 128), Buffer.alloc(0), Buffer.alloc(70_000, 7)];
  const put = await call('PutRecords', {
    StreamName: 's',
    Records: data.map((Data, index) => ({ Data, PartitionKey: `ключ ${index}` })),
  });
  expect([put.status, put.document['FailedRecordCount']]).toEqual([200, 0]);
  const { document: iterator } = await call('GetShardIterator', {
    StreamName: 's',
    ShardId: 'shardId-000000000000',
    ShardIteratorType: 'AT_TIMESTAMP',
    Timestamp: created,
  });
  const { document: page } = await call('GetRecords', iterator);
  const records = page['Records'] as {
    Data: Buffer;
    PartitionKey: string;
    ApproximateArrivalTimestamp: Milliseconds;
  }[];
  expect(records.map(({ Data }) => Buffer.from(Data))).toEqual(data);
  expect(records.map(({ PartitionKey }) => PartitionKey)).toEqual(['ключ 0', 'ключ 1', 'ключ 2']);
  for (const { ApproximateArrivalTimestamp: at } of records)
    expect(at.ms).toBeGreaterThanOrEqual((created as Milliseconds).ms);
});

test('errors are told in CBOR, and hostile bodies are errors', async () => {
  const { status, document } = await call('DescribeStream', { StreamName: 'none' });
  expect([status, document['__type']]).toEqual([400, 'ResourceNotFoundException']);
  for (const hostile of [
    '9f'.repeat(100_000),
    'bb8000000000000000',
    'a2616101616102',
    'a16161',
    'a0a0',
    '61ff',
  ]) {
    const refused = await call('ListStreams', Buffer.from(hostile, 'hex'));
    expect(refused).toEqual({ status: 400, document: { __type: 'SerializationException' } });
  }
  expect((await call('ListStreams', {})).status).toBe(200);
});
