// Manages streams, consumers, tags, policies and settings through the AWS SDK for JavaScript. Prints what it saw, by topic.
import * as kinesis from '@aws-sdk/client-kinesis';
import { client, handler, report, textOf, waiter } from './js-sdk-client.ts';

const nameOf = (topic: string): string => `${topic}-${handler}`;

async function created(topic: string, more: Partial<kinesis.CreateStreamInput> = {}): Promise<string> {
  const StreamName = nameOf(topic);
  await client.send(new kinesis.CreateStreamCommand({ StreamName, ShardCount: 1, ...more }));
  const { reason } = await kinesis.waitUntilStreamExists(waiter, { StreamName });
  return (reason as kinesis.DescribeStreamOutput).StreamDescription?.StreamARN ?? '';
}

async function summary(StreamName: string): Promise<Partial<kinesis.StreamDescriptionSummary>> {
  const answer = await client.send(new kinesis.DescribeStreamSummaryCommand({ StreamName }));
  return answer.StreamDescriptionSummary ?? {};
}

/** The name of the exception; the SDK has a class for it. */
async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'none';
  } catch (error) {
    if (error instanceof kinesis.KinesisServiceException && error.constructor.name === error.name)
      return error.name;
    throw error;
  }
}

async function gone(topic: string, EnforceConsumerDeletion = false): Promise<void> {
  const StreamName = nameOf(topic);
  await client.send(new kinesis.DeleteStreamCommand({ StreamName, EnforceConsumerDeletion }));
  await kinesis.waitUntilStreamNotExists(waiter, { StreamName });
}

async function collected<T>(pages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pages) all.push(page);
  return all;
}

async function onDemand(): Promise<object> {
  const StreamName = nameOf('demand');
  const StreamARN = await created('demand', {
    ShardCount: undefined,
    StreamModeDetails: { StreamMode: 'ON_DEMAND' },
  });
  const put = async (ExplicitHashKey: string): Promise<string | undefined> => {
    const record = { StreamARN, PartitionKey: 'same', Data: Buffer.from('x'), ExplicitHashKey };
    return (await client.send(new kinesis.PutRecordCommand(record))).ShardId;
  };
  const shards = [await put('0'), await put(String(2n ** 128n - 1n))];
  const [lower, upper] = shards;
  const merge = { StreamName, ShardToMerge: lower, AdjacentShardToMerge: upper };
  const refused = await refusal(client.send(new kinesis.MergeShardsCommand(merge)));
  const StreamModeDetails = { StreamMode: 'PROVISIONED' } as const;
  await client.send(new kinesis.UpdateStreamModeCommand({ StreamARN, StreamModeDetails }));
  await kinesis.waitUntilStreamExists(waiter, { StreamName });
  const { OpenShardCount, StreamModeDetails: mode } = await summary(StreamName);
  await gone('demand');
  return { shards, refused, OpenShardCount, mode: mode?.StreamMode };
}

async function consumers(): Promise<object> {
  const StreamARN = await created('fans');
  const arns: string[] = [];
  for (const ConsumerName of ['c', 'a', 'b']) {
    const register = new kinesis.RegisterStreamConsumerCommand({ StreamARN, ConsumerName });
    arns.push((await client.send(register)).Consumer?.ConsumerARN ?? '');
  }
  const paged = await collected(kinesis.paginateListStreamConsumers({ client, pageSize: 2 }, { StreamARN }));
  const pages = paged.map(({ Consumers = [] }) =>
    Consumers.map(({ ConsumerName }) => ConsumerName).join(' '),
  );
  const ConsumerARN = arns[0] ?? '';
  const { ConsumerDescription: one } = await client.send(
    new kinesis.DescribeStreamConsumerCommand({ ConsumerARN }),
  );
  const named = { StreamARN, ConsumerName: 'a' };
  const twice = await refusal(client.send(new kinesis.RegisterStreamConsumerCommand(named)));
  const kept = await refusal(gone('fans'));
  await client.send(new kinesis.DeregisterStreamConsumerCommand(named));
  const missing = await refusal(client.send(new kinesis.DescribeStreamConsumerCommand(named)));
  const { ConsumerCount } = await summary(nameOf('fans'));
  await gone('fans', true);
  const isDated = one?.ConsumerCreationTimestamp instanceof Date;
  return { pages, status: one?.ConsumerStatus, isDated, twice, kept, missing, ConsumerCount };
}

async function tags(): Promise<object> {
  const StreamName = nameOf('labels');
  const ResourceARN = await created('labels', { Tags: { a: '1' } });
  await client.send(new kinesis.AddTagsToStreamCommand({ StreamName, Tags: { b: '2', c: '3' } }));
  const pages: string[] = [];
  let start: string | undefined;
  do {
    const input = { StreamName, Limit: 2, ...(start === undefined ? {} : { ExclusiveStartTagKey: start }) };
    const page = await client.send(new kinesis.ListTagsForStreamCommand(input));
    pages.push((page.Tags ?? []).map(({ Key }) => Key).join(' '));
    start = page.HasMoreTags === true ? page.Tags?.at(-1)?.Key : undefined;
  } while (start !== undefined);
  await client.send(new kinesis.RemoveTagsFromStreamCommand({ StreamName, TagKeys: ['a'] }));
  await client.send(new kinesis.TagResourceCommand({ ResourceARN, Tags: { b: 'new', d: '' } }));
  await client.send(new kinesis.UntagResourceCommand({ ResourceARN, TagKeys: ['c'] }));
  const { Tags = [] } = await client.send(new kinesis.ListTagsForResourceCommand({ ResourceARN }));
  await gone('labels');
  return { pages, left: Tags.map(({ Key, Value }) => `${Key}=${Value}`) };
}

async function policies(): Promise<object> {
  const ResourceARN = await created('guarded');
  const get = async (): Promise<string | undefined> =>
    (await client.send(new kinesis.GetResourcePolicyCommand({ ResourceARN }))).Policy;
  const none = await get();
  const statement = { Effect: 'Deny', Principal: '*', Action: 'kinesis:PutRecord', Resource: ResourceARN };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
  await client.send(new kinesis.PutResourcePolicyCommand({ ResourceARN, Policy }));
  const same = (await get()) === Policy;
  const malformed = await refusal(
    client.send(new kinesis.PutResourcePolicyCommand({ ResourceARN, Policy: '{}' })),
  );
  await client.send(new kinesis.DeleteResourcePolicyCommand({ ResourceARN }));
  const deleted = await refusal(client.send(new kinesis.DeleteResourcePolicyCommand({ ResourceARN })));
  await gone('guarded');
  return { none, same, malformed, deleted };
}

async function encryption(): Promise<object> {
  const StreamName = nameOf('sealed');
  await created('sealed');
  const key = (KeyId: string): kinesis.StartStreamEncryptionInput => ({
    StreamName,
    EncryptionType: 'KMS',
    KeyId,
  });
  const put = async (text: string): Promise<string> => {
    const record = { StreamName, PartitionKey: 'k', Data: Buffer.from(text) };
    return (await client.send(new kinesis.PutRecordCommand(record))).EncryptionType ?? 'none';
  };
  const puts = [await put('a')];
  await client.send(new kinesis.StartStreamEncryptionCommand(key('alias/aws/kinesis')));
  await kinesis.waitUntilStreamExists(waiter, { StreamName });
  puts.push(await put('b'));
  const { EncryptionType, KeyId } = await summary(StreamName);
  const unknown = await refusal(client.send(new kinesis.StartStreamEncryptionCommand(key('alias/none'))));
  await client.send(new kinesis.StopStreamEncryptionCommand(key('alias/aws/kinesis')));
  await kinesis.waitUntilStreamExists(waiter, { StreamName });
  puts.push(await put('c'));
  const start = { StreamName, ShardId: 'shardId-000000000000', ShardIteratorType: 'TRIM_HORIZON' } as const;
  const { ShardIterator } = await client.send(new kinesis.GetShardIteratorCommand(start));
  const { Records = [] } = await client.send(new kinesis.GetRecordsCommand({ ShardIterator }));
  const records = Records.map((record) => `${textOf(record.Data)} ${record.EncryptionType ?? 'none'}`);
  await gone('sealed');
  return { puts, EncryptionType, KeyId, unknown, records };
}

async function settings(): Promise<object> {
  const StreamName = nameOf('set');
  const StreamARN = await created('set');
  const hours: (number | undefined)[] = [];
  for (const [Retention, RetentionPeriodHours] of [
    [kinesis.IncreaseStreamRetentionPeriodCommand, 8760],
    [kinesis.DecreaseStreamRetentionPeriodCommand, 25],
  ] as const) {
    await client.send(new Retention({ StreamName, RetentionPeriodHours }));
    hours.push((await summary(StreamName)).RetentionPeriodHours);
  }
  const longer = new kinesis.DecreaseStreamRetentionPeriodCommand({ StreamName, RetentionPeriodHours: 26 });
  const refused = await refusal(client.send(longer));
  const all: kinesis.EnableEnhancedMonitoringInput = { StreamName, ShardLevelMetrics: ['ALL'] };
  await client.send(new kinesis.EnableEnhancedMonitoringCommand(all));
  const two: kinesis.DisableEnhancedMonitoringInput = {
    StreamName,
    ShardLevelMetrics: ['IncomingBytes', 'OutgoingBytes'],
  };
  const off = await client.send(new kinesis.DisableEnhancedMonitoringCommand(two));
  const metrics = [off.CurrentShardLevelMetrics?.length, off.DesiredShardLevelMetrics?.length];
  const size = { StreamARN, MaxRecordSizeInKiB: 2048 };
  await client.send(new kinesis.UpdateMaxRecordSizeCommand(size));
  const { MaxRecordSizeInKiB } = await summary(StreamName);
  await gone('set');
  return { hours, refused, metrics, MaxRecordSizeInKiB };
}

async function account(): Promise<object> {
  const { ShardLimit, OpenShardCount, OnDemandStreamCountLimit } = await client.send(
    new kinesis.DescribeLimitsCommand({}),
  );
  const answer = await client.send(new kinesis.DescribeAccountSettingsCommand({}));
  const commitment = answer.MinimumThroughputBillingCommitment?.Status;
  return { ShardLimit, OpenShardCount, OnDemandStreamCountLimit, commitment };
}

async function pagination(): Promise<object> {
  for (const topic of ['page-c', 'page-a', 'page-b']) await created(topic, { ShardCount: 3 });
  const paged = await collected(kinesis.paginateListStreams({ client, pageSize: 1 }, {}));
  const streams = paged.map(({ StreamNames = [] }) => StreamNames.join(' '));
  const StreamName = nameOf('page-a');
  const shards: number[] = [];
  let NextToken: string | undefined;
  do {
    const input = NextToken === undefined ? { StreamName, MaxResults: 2 } : { NextToken, MaxResults: 2 };
    const page = await client.send(new kinesis.ListShardsCommand(input));
    shards.push(page.Shards?.length ?? 0);
    NextToken = page.NextToken;
  } while (NextToken !== undefined);
  const ExclusiveStartShardId = 'shardId-000000000000';
  const rest = await client.send(
    new kinesis.DescribeStreamCommand({ StreamName, Limit: 1, ExclusiveStartShardId }),
  );
  const described = rest.StreamDescription?.Shards?.map(({ ShardId }) => ShardId);
  const more = rest.StreamDescription?.HasMoreShards;
  for (const topic of ['page-a', 'page-b', 'page-c']) await gone(topic);
  return { streams, shards, described, more };
}

// One after the other: what the account has is a part of what they see.
report({
  onDemand: await onDemand(),
  consumers: await consumers(),
  tags: await tags(),
  policies: await policies(),
  encryption: await encryption(),
  settings: await settings(),
  account: await account(),
  pagination: await pagination(),
});
