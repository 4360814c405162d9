// Goal: boto3 manages streams unmodified. Method: one Python process for each matter, against one server.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { boto3Knows, runBoto3 } from '../boto3.ts';
import { startServer, stopAll, temporaryFolder } from '../processes.ts';
import type { RunningServer } from '../processes.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(stopAll);

const CLIENT = `
import boto3, json, sys
from botocore.config import Config
client = boto3.client('kinesis', endpoint_url=sys.argv[1], region_name='us-east-1',
    config=Config(retries={'total_max_attempts': 1}))
def made(name, **more):
    client.create_stream(StreamName=name, ShardCount=1, **more)
    client.get_waiter('stream_exists').wait(StreamName=name)
    return client.describe_stream_summary(StreamName=name)['StreamDescriptionSummary']['StreamARN']
def refusal(call, **input):
    try: call(**input)
    except client.exceptions.ClientError as error: return error.response['Error']['Code']
`;

const CONSUMERS = `
arn = made('fans')
consumers = [client.register_stream_consumer(StreamARN=arn, ConsumerName=name)['Consumer'] for name in 'cab']
pages = list(client.get_paginator('list_stream_consumers').paginate(StreamARN=arn, PaginationConfig={'PageSize': 2}))
one = client.describe_stream_consumer(ConsumerARN=consumers[0]['ConsumerARN'])['ConsumerDescription']
twice = refusal(client.register_stream_consumer, StreamARN=arn, ConsumerName='a')
kept = refusal(client.delete_stream, StreamName='fans')
client.deregister_stream_consumer(StreamARN=arn, ConsumerName='a')
gone = refusal(client.describe_stream_consumer, StreamARN=arn, ConsumerName='a')
count = client.describe_stream_summary(StreamName='fans')['StreamDescriptionSummary']['ConsumerCount']
client.delete_stream(StreamName='fans', EnforceConsumerDeletion=True)
client.get_waiter('stream_not_exists').wait(StreamName='fans')
print(json.dumps(dict(names=[c['ConsumerName'] for page in pages for c in page['Consumers']], pages=len(pages),
    same=one['ConsumerARN'] == consumers[0]['ConsumerARN'] and one['StreamARN'] == arn, status=one['ConsumerStatus'],
    created=one['ConsumerCreationTimestamp'] == consumers[0]['ConsumerCreationTimestamp'],
    refusals=[twice, kept, gone], count=count)))
`;

test('consumers are registered, listed, described and removed', async (context) => {
  expect(await runBoto3(context, CLIENT + CONSUMERS, server.httpUrl)).toEqual({
    names: ['a', 'b', 'c'],
    pages: 2,
    same: true,
    status: 'ACTIVE',
    created: true,
    refusals: ['ResourceInUseException', 'ResourceInUseException', 'ResourceNotFoundException'],
    count: 2,
  });
});

const TAGS = `
arn = made('labels', Tags={'a': '1'})
client.add_tags_to_stream(StreamName='labels', Tags={'b': '2', 'c': '3'})
client.remove_tags_from_stream(StreamName='labels', TagKeys=['a'])
one = client.list_tags_for_stream(StreamName='labels', Limit=1)
consumer = client.register_stream_consumer(StreamARN=arn, ConsumerName='c', Tags={'x': 'y'})['Consumer']['ConsumerARN']
client.tag_resource(ResourceARN=consumer, Tags={'z': ''})
client.untag_resource(ResourceARN=consumer, TagKeys=['x'])
print(json.dumps(dict(page=one['Tags'], more=one['HasMoreTags'],
    stream=client.list_tags_for_resource(ResourceARN=arn)['Tags'],
    consumer=client.list_tags_for_resource(ResourceARN=consumer)['Tags'],
    refused=refusal(client.tag_resource, ResourceARN=arn, Tags={'aws:a': ''}))))
`;

test('tags are set, listed and removed', async (context) => {
  if (!(await boto3Knows('CreateStream', 'Tags')) || !(await boto3Knows('TagResource'))) return;
  expect(await runBoto3(context, CLIENT + TAGS, server.httpUrl)).toEqual({
    page: [{ Key: 'b', Value: '2' }],
    more: true,
    stream: [
      { Key: 'b', Value: '2' },
      { Key: 'c', Value: '3' },
    ],
    consumer: [{ Key: 'z', Value: '' }],
    refused: 'InvalidArgumentException',
  });
});

const SETTINGS = `
arn = made('set', MaxRecordSizeInKiB=10240)
data = bytes(range(256)) * 40959
put = client.put_record(StreamName='set', Data=data, PartitionKey='k')
iterator = client.get_shard_iterator(StreamName='set', ShardId=put['ShardId'], ShardIteratorType='TRIM_HORIZON')['ShardIterator']
same = client.get_records(ShardIterator=iterator)['Records'][0]['Data'] == data
client.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=1024)
large = refusal(client.put_record, StreamName='set', Data=data, PartitionKey='k')
client.increase_stream_retention_period(StreamName='set', RetentionPeriodHours=48)
client.decrease_stream_retention_period(StreamName='set', RetentionPeriodHours=36)
metrics = client.enable_enhanced_monitoring(StreamName='set', ShardLevelMetrics=['ALL'])
client.update_stream_mode(StreamARN=arn, StreamModeDetails={'StreamMode': 'ON_DEMAND'})
account = client.update_account_settings(MinimumThroughputBillingCommitment={'Status': 'ENABLED'})
warm = client.update_stream_warm_throughput(StreamARN=arn, WarmThroughputMiBps=5)['WarmThroughput']
client.get_waiter('stream_exists').wait(StreamName='set')
seen = client.describe_stream_summary(StreamARN=arn)['StreamDescriptionSummary']
print(json.dumps(dict(same=same, large=large, metrics=[len(metrics['CurrentShardLevelMetrics']), len(metrics['DesiredShardLevelMetrics'])],
    account=account['MinimumThroughputBillingCommitment']['Status'], warm=warm,
    days=(account['MinimumThroughputBillingCommitment']['EarliestAllowedEndAt'] - account['MinimumThroughputBillingCommitment']['StartedAt']).days,
    seen=[seen['RetentionPeriodHours'], seen['StreamModeDetails']['StreamMode'], seen['OpenShardCount'], seen['MaxRecordSizeInKiB'],
        len(seen['EnhancedMonitoring'][0]['ShardLevelMetrics'])],
    limits=client.describe_limits()['OnDemandStreamCount'])))
`;

test('sizes, modes, throughput and metrics are set', async (context) => {
  if (!(await boto3Knows('UpdateStreamWarmThroughput'))) return;
  expect(await runBoto3(context, CLIENT + SETTINGS, server.httpUrl)).toEqual({
    same: true,
    large: 'ValidationException',
    metrics: [0, 7],
    account: 'ENABLED',
    warm: { TargetMiBps: 5, CurrentMiBps: 5 },
    days: 1,
    seen: [36, 'ON_DEMAND', 5, 1024, 7],
    limits: 1,
  });
});

const POLICIES = `
arn = made('guarded')
none = client.get_resource_policy(ResourceARN=arn)['Policy']
text = json.dumps(dict(Version='2012-10-17', Statement=[dict(Effect='Deny', Principal='*', Action='kinesis:PutRecord', Resource=arn)]))
client.put_resource_policy(ResourceARN=arn, Policy=text)
same = client.get_resource_policy(ResourceARN=arn)['Policy'] == text
bad = refusal(client.put_resource_policy, ResourceARN=arn, Policy='{}')
client.delete_resource_policy(ResourceARN=arn)
print(json.dumps(dict(none=none, same=same, refusals=[bad, refusal(client.delete_resource_policy, ResourceARN=arn)])))
`;

test('policies of streams are put, read and removed', async (context) => {
  if (!(await boto3Knows('GetResourcePolicy'))) return;
  expect(await runBoto3(context, CLIENT + POLICIES, server.httpUrl)).toEqual({
    none: '{}',
    same: true,
    refusals: ['InvalidArgumentException', 'ResourceNotFoundException'],
  });
});

const WAITING = `
made('slow')
client.create_stream(StreamName='slower', ShardCount=1)
state = lambda: client.describe_stream_summary(StreamName='slower')['StreamDescriptionSummary']['StreamStatus']
first = state()
fast = dict(WaiterConfig={'Delay': 1, 'MaxAttempts': 20})
client.get_waiter('stream_exists').wait(StreamName='slower', **fast)
client.split_shard(StreamName='slower', ShardToSplit='shardId-000000000000', NewStartingHashKey='7')
updating = state()
refused = refusal(client.merge_shards, StreamName='slower', ShardToMerge='shardId-000000000000', AdjacentShardToMerge='shardId-000000000001')
client.get_waiter('stream_exists').wait(StreamName='slower', **fast)
client.delete_stream(StreamName='slower')
last = state()
client.get_waiter('stream_not_exists').wait(StreamName='slower', **fast)
print(json.dumps([first, updating, refused, last]))
`;

test('with a delay of states its waiters wait', async (context) => {
  const config = join(temporaryFolder('config'), 'config.json');
  writeFileSync(config, JSON.stringify({ limits: { stateDelayMs: 1_500 } }));
  const slow = await startServer({ parameters: ['--config', config] });
  const program = CLIENT.replace(
    "'stream_exists').wait(StreamName=name)",
    "'stream_exists').wait(StreamName=name, WaiterConfig={'Delay': 1, 'MaxAttempts': 20})",
  );
  expect(await runBoto3(context, program + WAITING, slow.httpUrl)).toEqual([
    'CREATING',
    'UPDATING',
    'ResourceInUseException',
    'DELETING',
  ]);
});

const LIMITED = `
patient = boto3.client('kinesis', endpoint_url=sys.argv[1], region_name='us-east-1')
for n in range(8): patient.create_stream(StreamName=f'many{n}', ShardCount=1)
count = len(patient.list_streams()['StreamNames'])
refusals = {refusal(client.describe_limits) for n in range(3)}
print(json.dumps([count, sorted(str(one) for one in refusals)]))
`;

test('with the limits of the service it waits and gets there', async (context) => {
  const limited = await startServer({ env: { TRIBUTARY_SERVER_LIMITS: 'aws' } });
  expect(await runBoto3(context, CLIENT + LIMITED, limited.httpUrl)).toEqual([
    8,
    ['LimitExceededException', 'None'],
  ]);
});
