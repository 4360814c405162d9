// Goal: nobody does to any stream or consumer what no policy allows, whatever the operation. Method: every operation that
// the service offers, on a real server, by users with no policy, with one that allows it, with one that also denies it, and
// with one for another resource.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { KinesisContext } from '../../server/kinesis/context.ts';
import { kinesisService } from '../../server/kinesis/kinesis-service.ts';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { fleet, kinesis } from '../signed-requests.ts';
import type { Answer } from '../signed-requests.ts';

const STREAM = 'arn:aws:kinesis:us-east-1:000000000000:stream/matrix';
const CONSUMER = `${STREAM}/consumer/reader:1700000000`;
const byArn = { StreamARN: STREAM };
const byName = { StreamName: 'matrix' };
const shard = 'shardId-000000000000';

type Row = readonly [input: object, resource: string];

/** What each operation is asked, and the ARN that policies know it by (Service Authorization Reference). */
const ROWS: Readonly<Record<string, Row>> = {
  AddTagsToStream: [{ ...byName, Tags: { a: 'b' } }, STREAM],
  CreateStream: [{ ...byName, ShardCount: 1 }, STREAM],
  DecreaseStreamRetentionPeriod: [{ ...byName, RetentionPeriodHours: 24 }, STREAM],
  DeleteResourcePolicy: [{ ResourceARN: STREAM }, STREAM],
  DeleteStream: [byArn, STREAM],
  DeregisterStreamConsumer: [{ ConsumerARN: CONSUMER }, CONSUMER],
  DescribeAccountSettings: [{}, '*'],
  DescribeLimits: [{}, '*'],
  DescribeStream: [byName, STREAM],
  DescribeStreamConsumer: [{ ConsumerARN: CONSUMER }, CONSUMER],
  DescribeStreamSummary: [byArn, STREAM],
  DisableEnhancedMonitoring: [{ ...byName, ShardLevelMetrics: ['ALL'] }, STREAM],
  EnableEnhancedMonitoring: [{ ...byName, ShardLevelMetrics: ['ALL'] }, STREAM],
  GetResourcePolicy: [{ ResourceARN: CONSUMER }, CONSUMER],
  GetShardIterator: [{ ...byName, ShardId: shard, ShardIteratorType: 'LATEST' }, STREAM],
  IncreaseStreamRetentionPeriod: [{ ...byName, RetentionPeriodHours: 48 }, STREAM],
  ListShards: [byName, STREAM],
  ListStreamConsumers: [byArn, STREAM],
  ListStreams: [{}, '*'],
  ListTagsForResource: [{ ResourceARN: STREAM }, STREAM],
  ListTagsForStream: [byName, STREAM],
  MergeShards: [{ ...byName, ShardToMerge: shard, AdjacentShardToMerge: 'shardId-000000000001' }, STREAM],
  PutRecord: [{ ...byName, Data: 'eA==', PartitionKey: 'k' }, STREAM],
  PutRecords: [{ ...byArn, Records: [{ Data: 'eA==', PartitionKey: 'k' }] }, STREAM],
  PutResourcePolicy: [{ ResourceARN: STREAM, Policy: '{}' }, STREAM],
  RegisterStreamConsumer: [{ ...byArn, ConsumerName: 'reader' }, STREAM],
  RemoveTagsFromStream: [{ ...byName, TagKeys: ['a'] }, STREAM],
  SplitShard: [{ ...byName, ShardToSplit: shard, NewStartingHashKey: '7' }, STREAM],
  StartStreamEncryption: [{ ...byName, EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' }, STREAM],
  StopStreamEncryption: [{ ...byName, EncryptionType: 'KMS', KeyId: 'alias/aws/kinesis' }, STREAM],
  SubscribeToShard: [
    { ConsumerARN: CONSUMER, ShardId: shard, StartingPosition: { Type: 'LATEST' } },
    CONSUMER,
  ],
  TagResource: [{ ResourceARN: CONSUMER, Tags: { a: 'b' } }, CONSUMER],
  UntagResource: [{ ResourceARN: STREAM, TagKeys: ['a'] }, STREAM],
  UpdateAccountSettings: [{ MinimumThroughputBillingCommitment: { Status: 'DISABLED' } }, '*'],
  UpdateMaxRecordSize: [{ ...byArn, MaxRecordSizeInKiB: 1_024 }, STREAM],
  UpdateShardCount: [{ ...byName, TargetShardCount: 2, ScalingType: 'UNIFORM_SCALING' }, STREAM],
  UpdateStreamMode: [{ ...byArn, StreamModeDetails: { StreamMode: 'PROVISIONED' } }, STREAM],
  UpdateStreamRecordDistributionStrategy: [
    { ...byArn, RecordDistributionStrategy: 'USER_PARTITION_KEY' },
    STREAM,
  ],
  UpdateStreamWarmThroughput: [{ ...byName, WarmThroughputMiBps: 0 }, STREAM],
};
/** Its resource is in the iterator: a test of its own. */
const APART = 'GetRecords';
const OFFERED = Object.keys(kinesisService({} as KinesisContext).operations).filter((name) => name !== APART);

interface Key {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

let server: RunningServer;
const keys = new Map<string, Key>();

async function user(name: string, statements: object[]): Promise<void> {
  const path = '/api/v1/access/users';
  await fleet(server.httpUrl, 'POST', path, { name });
  const document = JSON.stringify({ Version: '2012-10-17', Statement: statements });
  if (statements.length > 0)
    expect(await fleet(server.httpUrl, 'PUT', `${path}/${name}/policies/p`, { document })).toMatchObject({
      status: 200,
    });
  const made = await fleet(server.httpUrl, 'POST', `${path}/${name}/keys`);
  keys.set(name, made.body as unknown as Key);
}

const as = (name: string, operation: string, input: object): Promise<Answer> => {
  const credentials = keys.get(name);
  if (credentials === undefined) throw new Error(`there is no ${name}`);
  return kinesis(server.httpUrl, operation, input, { credentials });
};

beforeAll(async () => {
  server = await startServer();
  const everything = { Effect: 'Allow', Action: 'kinesis:*', Resource: '*' };
  await user('none', []);
  await user('deny', [everything, { ...everything, Effect: 'Deny' }]);
  await user('other', [{ ...everything, Resource: [`${STREAM}2`, `${STREAM}2/consumer/*`] }]);
  await user('data', [
    { ...everything, Action: ['kinesis:Put*', 'kinesis:Get*'], Resource: STREAM },
    { ...everything, Effect: 'Deny', Action: 'kinesis:*Policy', Resource: '*' },
  ]);
  await user('allow', [everything]);
});
afterAll(stopAll);

test('every operation that is offered has a row', () => {
  expect(OFFERED.filter((name) => ROWS[name] === undefined)).toEqual([]);
});

test.each(OFFERED)('%s', async (operation) => {
  const [input, resource] = ROWS[operation] ?? [{}, ''];
  const denied = (who: string, why: string) => ({
    status: 400,
    body: {
      __type: 'AccessDeniedException',
      message: `User: arn:aws:iam::000000000000:user/${who} is not authorized to perform: kinesis:${operation} on resource: ${resource} ${why}`,
    },
  });
  const missing = `because no identity-based policy allows the kinesis:${operation} action`;
  expect(await as('none', operation, input)).toMatchObject(denied('none', missing));
  expect(await as('other', operation, input)).toMatchObject(denied('other', missing));
  const explicit = 'with an explicit deny in an identity-based policy';
  expect(await as('deny', operation, input)).toMatchObject(denied('deny', explicit));
  // What is allowed is answered by the operation itself, whatever it says about a stream that may not be there.
  const isOfData = /^(Put|Get)/.test(operation) && !operation.endsWith('Policy') && resource === STREAM;
  for (const who of isOfData ? ['data', 'allow'] : ['allow'])
    expect((await as(who, operation, input)).body['__type'], who).not.toBe('AccessDeniedException');
  if (!isOfData) expect((await as('data', operation, input)).body['__type']).toBe('AccessDeniedException');
});

test('an iterator gives nobody more than a policy does', async () => {
  await as('allow', 'CreateStream', { StreamName: 'matrix', ShardCount: 1 });
  const iterator = await as('allow', 'GetShardIterator', {
    ...byName,
    ShardId: shard,
    ShardIteratorType: 'TRIM_HORIZON',
  });
  const input = { ShardIterator: iterator.body['ShardIterator'] };
  for (const who of ['none', 'other', 'deny'])
    expect((await as(who, APART, input)).body).toMatchObject({ __type: 'AccessDeniedException' });
  expect((await as('data', APART, input)).status).toBe(200);
});

test('what a request says beside its resource changes nothing', async () => {
  await as('allow', 'CreateStream', { StreamName: 'matrix2', ShardCount: 1 });
  const iterator = await as('allow', 'GetShardIterator', {
    ...byName,
    ShardId: shard,
    ShardIteratorType: 'TRIM_HORIZON',
  });
  const { ShardIterator } = iterator.body;
  // `other` may do everything to matrix2, and nothing to matrix.
  const smuggled = await as('other', 'GetRecords', { ShardIterator, StreamARN: `${STREAM}2` });
  expect(smuggled.status).toBe(400);
  for (const extra of [{ ResourceARN: `${STREAM}2` }, { ConsumerARN: `${STREAM}2/consumer/x:1` }])
    expect((await as('other', 'DescribeStream', { ...byName, ...extra })).body['__type']).toBe(
      'AccessDeniedException',
    );
  const twice = { StreamARN: `${STREAM}2`, ConsumerName: 'x', ConsumerARN: CONSUMER };
  expect((await as('other', 'DescribeStreamConsumer', twice)).status).toBe(400);
});

test('a name that is spelled in another way is the same resource', async () => {
  const everything = { Effect: 'Allow', Action: 'kinesis:*', Resource: '*' };
  await user('fence', [everything, { ...everything, Effect: 'Deny', Resource: STREAM }]);
  const spellings = [STREAM.replace(':aws:', ':aws-cn:'), STREAM.replace(':stream/', ':upstream/'), STREAM];
  for (const arn of spellings) {
    expect((await as('fence', 'DescribeStream', { StreamARN: arn })).body['__type']).not.toBe(undefined);
    expect((await as('fence', 'TagResource', { ResourceARN: arn, Tags: { a: 'b' } })).body).toMatchObject({
      __type: 'AccessDeniedException',
    });
  }
  const both = { StreamName: 'matrix', StreamARN: STREAM };
  expect((await as('fence', 'DescribeStream', both)).body['__type']).toBe('AccessDeniedException');
});

test('tags decide: of the resource, and of the request', async () => {
  const tagged = { 'aws:ResourceTag/team': '${aws:username}' };
  const statement = { Effect: 'Allow', Action: 'kinesis:*', Resource: '*' };
  await user('red', [
    { ...statement, Action: 'kinesis:DeleteStream', Condition: { StringEquals: tagged } },
    {
      ...statement,
      Action: 'kinesis:CreateStream',
      Condition: { StringEquals: { 'aws:RequestTag/team': '${aws:username}' } },
    },
  ]);
  const create = (StreamName: string, Tags: object) =>
    as('red', 'CreateStream', { StreamName, ShardCount: 1, Tags });
  expect((await create('a', { other: 'red' })).body['__type']).toBe('AccessDeniedException');
  expect((await create('a', { team: 'blue' })).body['__type']).toBe('AccessDeniedException');
  expect((await create('a', { team: 'red' })).status).toBe(200);
  await as('allow', 'CreateStream', { StreamName: 'b', ShardCount: 1, Tags: { team: 'blue' } });
  expect((await as('red', 'DeleteStream', { StreamName: 'b' })).body['__type']).toBe('AccessDeniedException');
  expect((await as('red', 'DeleteStream', { StreamName: 'a' })).status).toBe(200);
});

test('hostile policies are stored or refused, and stop nobody', async () => {
  const statement = { Effect: 'Allow', Action: 'kinesis:*', Resource: `${STREAM}${'*a'.repeat(2_900)}b` };
  await user('hostile', [statement]);
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => as('hostile', 'DescribeStream', { StreamName: 'a'.repeat(128) })),
  );
  expect(new Set(answers.map(({ body }) => body['__type']))).toEqual(new Set(['AccessDeniedException']));
  const put = async (document: string) =>
    (await fleet(server.httpUrl, 'PUT', '/api/v1/access/users/hostile/policies/q', { document })).body[
      'error'
    ];
  expect(
    await put(JSON.stringify({ Statement: { ...statement, Action: 'x:*'.repeat(2_000) } })),
  ).toMatchObject({
    code: 'POLICY_MALFORMED',
    message: expect.stringContaining('at most 6144 are allowed') as unknown,
  });
  expect(await put('['.repeat(6_000))).toMatchObject({ code: 'POLICY_MALFORMED' });
  expect(await put('x'.repeat(20_000))).toMatchObject({ code: 'TOO_LARGE' });
  expect(await put('{"Statement":{"Effect":"Allow"}}')).toEqual({
    code: 'POLICY_MALFORMED',
    message: 'Statement[0]: must have either Action or NotAction',
  });
});
