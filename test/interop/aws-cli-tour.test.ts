// Goal: the AWS CLI manages everything its version knows, and reads a stream whose shards change. Method: the real CLI, one
// process for each call. It hides SubscribeToShard.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestContext } from 'vitest';
import { AwsCli, recordsOf } from '../aws-cli.ts';
import type { Document } from '../aws-cli.ts';
import { followLineage } from '../lineage.ts';
import type { ChildShard } from '../lineage.ts';
import { startServer, stopAll } from '../processes.ts';

let cli: AwsCli;
beforeAll(async () => {
  cli = await AwsCli.open((await startServer()).httpUrl);
});
afterAll(stopAll);

const HASH_KEYS = 2n ** 128n;

const summary = async (context: TestContext, name: string): Promise<Document> => {
  const answer = await cli.ok(context, 'describe-stream-summary', '--stream-name', name);
  return answer['StreamDescriptionSummary'] as Document;
};

const gone = async (context: TestContext, name: string, ...more: string[]): Promise<void> => {
  await cli.ok(context, 'delete-stream', '--stream-name', name, ...more);
  await cli.ok(context, 'wait', 'stream-not-exists', '--stream-name', name);
};

test('an on-demand stream places records by their hash keys, and changes its mode', async (context) => {
  const stream = ['--stream-name', 'demand'];
  await cli.ok(context, 'create-stream', ...stream, '--stream-mode-details', 'StreamMode=ON_DEMAND');
  await cli.ok(context, 'wait', 'stream-exists', ...stream);
  const put = ['put-record', ...stream, '--partition-key', 'same', '--data', cli.data('x')];
  const places = ['0', String(HASH_KEYS - 1n)].map((key) =>
    cli.ok(context, ...put, '--explicit-hash-key', key),
  );
  expect((await Promise.all(places)).map((answer) => answer['ShardId'])).toEqual([
    'shardId-000000000000',
    'shardId-000000000003',
  ]);
  const { StreamARN } = await summary(context, 'demand');
  const mode = ['--stream-arn', String(StreamARN), '--stream-mode-details', 'StreamMode=PROVISIONED'];
  await cli.ok(context, 'update-stream-mode', ...mode);
  expect(await summary(context, 'demand')).toMatchObject({
    StreamModeDetails: { StreamMode: 'PROVISIONED' },
    OpenShardCount: 4,
  });
  await gone(context, 'demand');
});

test('consumers, tags, retention, metrics and limits', async (context) => {
  const stream = ['--stream-name', 'set'];
  await cli.ok(context, 'create-stream', ...stream, '--shard-count', '1');
  await cli.ok(context, 'wait', 'stream-exists', ...stream);
  const arn = String((await summary(context, 'set'))['StreamARN']);
  const consumer = ['--stream-arn', arn, '--consumer-name'];
  for (const name of ['b', 'a']) await cli.ok(context, 'register-stream-consumer', ...consumer, name);
  const paged = await cli.ok(context, 'list-stream-consumers', '--stream-arn', arn, '--page-size', '1');
  expect(paged).toMatchObject({ Consumers: [{ ConsumerName: 'a' }, { ConsumerName: 'b' }] });
  expect(await cli.ok(context, 'describe-stream-consumer', ...consumer, 'a')).toMatchObject({
    ConsumerDescription: { ConsumerStatus: 'ACTIVE', StreamARN: arn },
  });
  await cli.ok(context, 'deregister-stream-consumer', ...consumer, 'a');
  expect(await cli.refused(context, 'describe-stream-consumer', ...consumer, 'a')).toContain(
    '(ResourceNotFoundException) when calling the DescribeStreamConsumer operation',
  );

  await cli.ok(context, 'add-tags-to-stream', ...stream, '--tags', 'room=cellar,floor=0');
  await cli.ok(context, 'remove-tags-from-stream', ...stream, '--tag-keys', 'floor');
  expect(await cli.ok(context, 'list-tags-for-stream', ...stream)).toEqual({
    Tags: [{ Key: 'room', Value: 'cellar' }],
    HasMoreTags: false,
  });

  const hours = (count: number): string[] => [...stream, '--retention-period-hours', String(count)];
  await cli.ok(context, 'increase-stream-retention-period', ...hours(48));
  await cli.ok(context, 'decrease-stream-retention-period', ...hours(36));
  expect(await cli.refused(context, 'decrease-stream-retention-period', ...hours(23))).toContain(
    'Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.',
  );
  const metrics = [...stream, '--shard-level-metrics'];
  await cli.ok(context, 'enable-enhanced-monitoring', ...metrics, 'ALL');
  expect(await cli.ok(context, 'disable-enhanced-monitoring', ...metrics, 'IncomingBytes')).toMatchObject({
    CurrentShardLevelMetrics: { length: 7 },
    DesiredShardLevelMetrics: { length: 6 },
  });
  expect(await summary(context, 'set')).toMatchObject({ RetentionPeriodHours: 36, ConsumerCount: 1 });
  expect(await cli.ok(context, 'describe-limits')).toMatchObject({ ShardLimit: 1_000 });

  expect(await cli.refused(context, 'delete-stream', ...stream)).toContain('(ResourceInUseException)');
  await gone(context, 'set', '--enforce-consumer-deletion');
});

test('records are encrypted while the stream is', async (context) => {
  const stream = ['--stream-name', 'sealed'];
  await cli.ok(context, 'create-stream', ...stream, '--shard-count', '1');
  await cli.ok(context, 'wait', 'stream-exists', ...stream);
  const key = [...stream, '--encryption-type', 'KMS', '--key-id', 'alias/aws/kinesis'];
  const put = ['put-record', ...stream, '--partition-key', 'k', '--data', cli.data('x')];
  await cli.ok(context, 'start-stream-encryption', ...key);
  expect(await cli.ok(context, ...put)).toMatchObject({ EncryptionType: 'KMS' });
  expect(await summary(context, 'sealed')).toMatchObject({
    EncryptionType: 'KMS',
    KeyId: 'alias/aws/kinesis',
  });
  await cli.ok(context, 'stop-stream-encryption', ...key);
  expect(await cli.ok(context, ...put)).not.toHaveProperty('EncryptionType');
  await gone(context, 'sealed');
});

test('tags and policies of resources, if the version knows them', async (context) => {
  await cli.ok(context, 'create-stream', '--stream-name', 'owned', '--shard-count', '1');
  const arn = String((await summary(context, 'owned'))['StreamARN']);
  const resource = ['--resource-arn', arn];
  // Debian's version, of 2022, does not.
  if (await cli.knows('tag-resource')) {
    await cli.ok(context, 'tag-resource', ...resource, '--tags', 'a=1,b=2');
    await cli.ok(context, 'untag-resource', ...resource, '--tag-keys', 'a');
    expect(await cli.ok(context, 'list-tags-for-resource', ...resource)).toEqual({
      Tags: [{ Key: 'b', Value: '2' }],
    });
  }
  if (await cli.knows('put-resource-policy')) {
    const statement = { Effect: 'Deny', Principal: '*', Action: 'kinesis:PutRecord', Resource: arn };
    const policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
    await cli.ok(context, 'put-resource-policy', ...resource, '--policy', policy);
    expect(await cli.ok(context, 'get-resource-policy', ...resource)).toEqual({ Policy: policy });
    await cli.ok(context, 'delete-resource-policy', ...resource);
    expect(await cli.refused(context, 'delete-resource-policy', ...resource)).toContain(
      '(ResourceNotFoundException)',
    );
  }
  await gone(context, 'owned');
});

interface OpenShard {
  readonly ShardId: string;
  readonly HashKeyRange: { readonly StartingHashKey: string; readonly EndingHashKey: string };
}

test('shards change under a writer and a consumer: nothing is lost, doubled or out of order', async (context) => {
  const stream = ['--stream-name', 'lineage'];
  const keys = ['k0', 'k1', 'k2', 'k3'];
  await cli.ok(context, 'create-stream', ...stream, '--shard-count', '2');
  await cli.ok(context, 'wait', 'stream-exists', ...stream);
  const openShards = async (): Promise<OpenShard[]> => {
    const answer = await cli.ok(context, 'list-shards', ...stream, '--shard-filter', 'Type=AT_LATEST');
    const start = (shard: OpenShard): bigint => BigInt(shard.HashKeyRange.StartingHashKey);
    return (answer['Shards'] as OpenShard[]).toSorted((a, b) => (start(a) < start(b) ? -1 : 1));
  };

  let rounds = 0;
  let isOver = false;
  const write = async (): Promise<void> => {
    for (; !isOver; rounds += 1) {
      const entries = keys.map((key) => ({ PartitionKey: key, Data: cli.data(String(rounds)) }));
      const put = await cli.ok(context, 'put-records', ...stream, '--records', JSON.stringify(entries));
      expect(put['FailedRecordCount']).toBe(0);
    }
  };
  const received: Record<string, string[]> = {};
  const readShard = async (shardId: string): Promise<ChildShard[] | null> => {
    const start = ['--shard-id', shardId, '--shard-iterator-type', 'TRIM_HORIZON'];
    const begin = await cli.ok(context, 'get-shard-iterator', ...stream, ...start);
    let iterator = begin['ShardIterator'] as string | undefined;
    while (iterator !== undefined) {
      const page = await cli.ok(context, 'get-records', '--shard-iterator', iterator);
      for (const { key, text } of recordsOf(page)) (received[key] ??= []).push(text);
      if (recordsOf(page).some(({ text }) => text === 'end')) return null;
      iterator = page['NextShardIterator'] as string | undefined;
      const children = (page['ChildShards'] ?? []) as { ShardId: string; ParentShards: string[] }[];
      if (children.length > 0)
        return children.map(({ ShardId, ParentShards }) => ({ shardId: ShardId, parents: ParentShards }));
    }
    throw new Error(`${shardId} ended without children`);
  };

  const following = followLineage(
    (await openShards()).map(({ ShardId }) => ShardId),
    readShard,
  );
  const writing = write();
  const resize = ['update-shard-count', ...stream, '--scaling-type', 'UNIFORM_SCALING'];
  const [first] = await openShards();
  const split = ['--shard-to-split', first?.ShardId ?? '', '--new-starting-hash-key', '1000'];
  await cli.ok(context, 'split-shard', ...stream, ...split);
  const [lower, upper] = await openShards();
  const pair = ['--shard-to-merge', lower?.ShardId ?? '', '--adjacent-shard-to-merge', upper?.ShardId ?? ''];
  await cli.ok(context, 'merge-shards', ...stream, ...pair);
  for (const target of [4, 2]) await cli.ok(context, ...resize, '--target-shard-count', String(target));
  isOver = true;
  await writing;
  for (const { HashKeyRange } of await openShards()) {
    const end = ['--partition-key', 'end', '--data', cli.data('end')];
    const place = ['--explicit-hash-key', HashKeyRange.StartingHashKey];
    await cli.ok(context, 'put-record', ...stream, ...end, ...place);
  }
  await following;
  const written = Array.from({ length: rounds }, (_, round) => String(round));
  expect(received).toEqual({
    ...Object.fromEntries(keys.map((key) => [key, written])),
    end: ['end', 'end'],
  });
  await gone(context, 'lineage');
});
