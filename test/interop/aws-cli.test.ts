// Goal: the AWS CLI works against a server unmodified. Method: the real CLI, one process for each call.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestContext } from 'vitest';
import { AwsCli, recordsOf } from '../aws-cli.ts';
import type { Document } from '../aws-cli.ts';
import { CREDENTIALS, startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { needs } from '../tools.ts';

let server: RunningServer;
let cli: AwsCli;
beforeAll(async () => {
  server = await startServer();
  cli = await AwsCli.open(server.httpUrl);
});
afterAll(stopAll);

const ok = (context: TestContext, ...parameters: string[]): Promise<Document> =>
  cli.ok(context, ...parameters);
const refused = (context: TestContext, ...parameters: string[]): Promise<string> =>
  cli.refused(context, ...parameters);
const data = (text: string): string => cli.data(text);

test('a stream lives: create, wait, describe, list, delete, wait', async (context) => {
  await ok(context, 'create-stream', '--stream-name', 'life', '--shard-count', '2');
  await ok(context, 'wait', 'stream-exists', '--stream-name', 'life');
  const arn = 'arn:aws:kinesis:us-east-1:000000000000:stream/life';
  expect(await ok(context, 'describe-stream', '--stream-name', 'life')).toMatchObject({
    StreamDescription: {
      StreamName: 'life',
      StreamARN: arn,
      StreamStatus: 'ACTIVE',
      RetentionPeriodHours: 24,
      EncryptionType: 'NONE',
      Shards: [
        {
          ShardId: 'shardId-000000000000',
          HashKeyRange: {
            StartingHashKey: '0',
            EndingHashKey: '170141183460469231731687303715884105727',
          },
        },
        {
          ShardId: 'shardId-000000000001',
          HashKeyRange: {
            StartingHashKey: '170141183460469231731687303715884105728',
            EndingHashKey: '340282366920938463463374607431768211455',
          },
        },
      ],
    },
  });
  expect(
    await ok(context, 'describe-stream-summary', '--stream-name', 'life', '--stream-arn', arn),
  ).toMatchObject({
    StreamDescriptionSummary: { OpenShardCount: 2, StreamARN: arn, ConsumerCount: 0 },
  });
  expect(await ok(context, 'list-streams')).toMatchObject({
    StreamNames: expect.arrayContaining(['life']) as unknown,
  });
  expect(await refused(context, 'create-stream', '--stream-name', 'life', '--shard-count', '1')).toContain(
    '(ResourceInUseException) when calling the CreateStream operation: Stream life under account 000000000000 already exists.',
  );
  await ok(context, 'delete-stream', '--stream-name', 'life');
  await ok(context, 'wait', 'stream-not-exists', '--stream-name', 'life');
  expect(await refused(context, 'describe-stream', '--stream-name', 'life')).toContain(
    '(ResourceNotFoundException)',
  );
});

test('the paginator of the CLI walks every page of streams and shards', async (context) => {
  for (const name of ['page-a', 'page-b', 'page-c'])
    await ok(context, 'create-stream', '--stream-name', name, '--shard-count', '3');
  const { StreamNames } = await ok(context, 'list-streams', '--page-size', '1');
  expect(StreamNames).toEqual(expect.arrayContaining(['page-a', 'page-b', 'page-c']));
  // It sends the name and the token together.
  const { Shards } = await ok(context, 'list-shards', '--stream-name', 'page-b', '--page-size', '2');
  expect(Shards).toHaveLength(3);
  const described = await ok(context, 'describe-stream', '--stream-name', 'page-c', '--page-size', '1');
  expect(described).toMatchObject({ StreamDescription: { Shards: { length: 3 } } });
});

test('records come back in order, from every kind of iterator', async (context) => {
  const stream = ['--stream-name', 'order'];
  await ok(context, 'create-stream', ...stream, '--shard-count', '1');
  const shard = [...stream, '--shard-id', 'shardId-000000000000'];
  const before = Date.now();
  const latest = await ok(context, 'get-shard-iterator', ...shard, '--shard-iterator-type', 'LATEST');
  const put = ['put-record', ...stream, '--partition-key', 'one', '--data', data('r0')];
  const first = await ok(context, ...put);
  const entries = [1, 2, 3, 4].map((n) => ({ Data: data(`r${n}`), PartitionKey: `k${n}` }));
  const many = await ok(context, 'put-records', ...stream, '--records', JSON.stringify(entries));
  expect(many).toMatchObject({ FailedRecordCount: 0, Records: { length: 4 } });

  const all = ['r0', 'r1', 'r2', 'r3', 'r4'];
  const read = async (iterator: Document, ...more: string[]): Promise<Document> =>
    ok(context, 'get-records', '--shard-iterator', String(iterator['ShardIterator']), ...more);
  const from = async (type: string, ...more: string[]): Promise<string[]> => {
    const iterator = await ok(
      context,
      'get-shard-iterator',
      ...shard,
      '--shard-iterator-type',
      type,
      ...more,
    );
    return recordsOf(await read(iterator)).map((one) => one.text);
  };
  const number = String(first['SequenceNumber']);
  expect(await from('TRIM_HORIZON')).toEqual(all);
  expect(await from('AT_SEQUENCE_NUMBER', '--starting-sequence-number', number)).toEqual(all);
  expect(await from('AFTER_SEQUENCE_NUMBER', '--starting-sequence-number', number)).toEqual(all.slice(1));
  expect(await from('AT_TIMESTAMP', '--timestamp', String(before / 1000))).toEqual(all);
  expect(await from('LATEST')).toEqual([]);
  // The one that was taken before the first record.
  expect(recordsOf(await read(latest)).map((one) => one.text)).toEqual(all);

  const paged: string[] = [];
  const start = await ok(context, 'get-shard-iterator', ...shard, '--shard-iterator-type', 'TRIM_HORIZON');
  let page: Document = { NextShardIterator: start['ShardIterator'] };
  do {
    page = await read({ ShardIterator: page['NextShardIterator'] }, '--limit', '2');
    paged.push(...recordsOf(page).map((one) => one.text));
  } while (page['MillisBehindLatest'] !== 0);
  expect(paged).toEqual(all);
  expect(recordsOf(page)).toHaveLength(1);
});

test('what is wrong with a request is said as AWS says it', async (context) => {
  expect(
    await refused(
      context,
      'put-record',
      '--stream-name',
      'nowhere',
      '--partition-key',
      'k',
      '--data',
      data('x'),
    ),
  ).toContain(
    '(ResourceNotFoundException) when calling the PutRecord operation: Stream nowhere under account 000000000000 not found.',
  );
  expect(await refused(context, 'get-records', '--shard-iterator', 'AAAA')).toContain(
    '(InvalidArgumentException) when calling the GetRecords operation: Invalid ShardIterator.',
  );
  expect(
    await refused(context, 'create-stream', '--stream-name', 'bad name', '--shard-count', '1'),
  ).toContain(
    "Value 'bad name' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
  );
});

test('a wrong secret and an unknown key are refused', async (context) => {
  needs(context, 'aws');
  const wrong = await cli.run(['list-streams'], { AWS_SECRET_ACCESS_KEY: 'wrong' });
  expect(wrong.code).not.toBe(0);
  expect(wrong.stderr).toContain('(InvalidSignatureException)');
  expect(wrong.stderr).toContain('The request signature we calculated does not match');
  const unknown = await cli.run(['list-streams'], { AWS_ACCESS_KEY_ID: 'NOBODY' });
  expect(unknown.stderr).toContain(
    '(UnrecognizedClientException) when calling the ListStreams operation: The security token included in the request is invalid.',
  );
  expect(server.stderr()).not.toContain(CREDENTIALS.secretAccessKey);
});
