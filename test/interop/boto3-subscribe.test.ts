// Goal: boto3 subscribes over HTTP/1.1 unmodified. Method: one Python process that reads, goes on where it was, and meets
// the end of a shard.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runBoto3 } from '../boto3.ts';
import { startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await startServer();
});
afterAll(stopAll);

const PROGRAM = `
import boto3, json, sys
from botocore.config import Config
client = boto3.client('kinesis', endpoint_url=sys.argv[1], region_name='us-east-1',
    config=Config(retries={'total_max_attempts': 1}))
client.create_stream(StreamName='s', ShardCount=1)
client.get_waiter('stream_exists').wait(StreamName='s')
arn = client.describe_stream_summary(StreamName='s')['StreamDescriptionSummary']['StreamARN']
consumer = client.register_stream_consumer(StreamARN=arn, ConsumerName='c')['Consumer']['ConsumerARN']
shard = 'shardId-000000000000'
def put(*texts):
    client.put_records(StreamName='s', Records=[{'Data': text.encode(), 'PartitionKey': 'k'} for text in texts])
def subscribe(**position):
    return client.subscribe_to_shard(ConsumerARN=consumer, ShardId=shard, StartingPosition=position)['EventStream']
seen = []
put('a', 'b')
stream = subscribe(Type='TRIM_HORIZON')
for event in stream:
    event = event['SubscribeToShardEvent']
    seen += [record['Data'].decode() for record in event['Records']]
    types = sorted({type(record['ApproximateArrivalTimestamp']).__name__ for record in event['Records']})
    if seen[-1:] == ['b']: put('c')
    if seen[-1:] == ['c']: break
stream.close()
put('d')
client.split_shard(StreamName='s', ShardToSplit=shard, NewStartingHashKey='1000')
children = None
for event in subscribe(Type='AFTER_SEQUENCE_NUMBER', SequenceNumber=event['ContinuationSequenceNumber']):
    event = event['SubscribeToShardEvent']
    seen += [record['Data'].decode() for record in event['Records']]
    children = [child['ShardId'] for child in event.get('ChildShards', [])]
refusals = []
for bad in [dict(ConsumerARN=consumer + '1'), dict(ShardId='shardId-000000000009')]:
    try: client.subscribe_to_shard(**{**dict(ConsumerARN=consumer, ShardId=shard, StartingPosition={'Type': 'LATEST'}), **bad})
    except client.exceptions.ResourceNotFoundException as error: refusals.append(error.response['Error']['Code'])
print(json.dumps(dict(seen=seen, types=types, children=children, refusals=refusals)))
`;

test('records are pushed, a subscription goes on where it was, and ends with its shard', async (context) => {
  expect(await runBoto3(context, PROGRAM, server.httpUrl)).toEqual({
    seen: ['a', 'b', 'c', 'd'],
    types: ['datetime'],
    children: ['shardId-000000000001', 'shardId-000000000002'],
    refusals: ['ResourceNotFoundException', 'ResourceNotFoundException'],
  });
});
