// Goal: boto3 works against a server unmodified. Method: one Python process that does what programs do with streams.
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
import boto3, json, sys, datetime
from botocore.config import Config
client = boto3.client('kinesis', endpoint_url=sys.argv[1], region_name='us-east-1',
    config=Config(retries={'total_max_attempts': 1}))
client.create_stream(StreamName='b', ShardCount=2)
client.get_waiter('stream_exists').wait(StreamName='b')
arn = client.describe_stream_summary(StreamName='b')['StreamDescriptionSummary']['StreamARN']
known = 'StreamARN' in client.meta.service_model.operation_model('PutRecords').input_shape.members
arns = dict(StreamARN=arn) if known else {}
both = dict(StreamName='b', **arns)
put = client.put_records(Records=[{'Data': bytes([n]), 'PartitionKey': str(n)} for n in range(100)], **both)
pages = list(client.get_paginator('list_shards').paginate(StreamName='b', PaginationConfig={'PageSize': 1}))
shards = [shard['ShardId'] for page in pages for shard in page['Shards']]
started = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
seen, types = [], set()
for shard in shards:
    iterator = client.get_shard_iterator(ShardId=shard, ShardIteratorType='AT_TIMESTAMP', Timestamp=started, **both)['ShardIterator']
    while True:
        page = client.get_records(ShardIterator=iterator, Limit=7, **arns)
        seen += [record['Data'][0] for record in page['Records']]
        types |= {type(record['ApproximateArrivalTimestamp']).__name__ for record in page['Records']}
        iterator = page['NextShardIterator']
        if page['MillisBehindLatest'] == 0: break
refusals = []
wrong = [dict(StreamName='other', StreamARN=arn), dict(StreamARN=arn.replace('us-east-1', 'eu-west-1')), {}]
for bad in wrong if known else []:
    try: client.describe_stream(**bad)
    except client.exceptions.ClientError as error: refusals.append(error.response['Error']['Code'])
try: client.put_record(Data=b'x', PartitionKey='k', StreamName='b', ExplicitHashKey=str(2**128))
except client.exceptions.InvalidArgumentException as error: refusals.append(error.response['Error']['Code'])
client.delete_stream(StreamName='b')
client.get_waiter('stream_not_exists').wait(StreamName='b')
print(json.dumps(dict(failed=put['FailedRecordCount'], pages=len(pages), shards=shards, seen=sorted(seen),
    types=sorted(types), refusals=refusals, known=known)))
`;

test('streams, records and errors through boto3, with the name and the ARN together', async (context) => {
  const seen = (await runBoto3(context, PROGRAM, server.httpUrl)) as { readonly known: boolean };
  // Clients before 2023 know no ARN of a stream.
  const ofArns = ['InvalidArgumentException', 'ResourceNotFoundException', 'InvalidArgumentException'];
  expect(seen).toEqual({
    failed: 0,
    pages: 2,
    shards: ['shardId-000000000000', 'shardId-000000000001'],
    seen: Array.from({ length: 100 }, (_, n) => n),
    types: ['datetime'],
    refusals: [...(seen.known ? ofArns : []), 'InvalidArgumentException'],
    known: seen.known,
  });
});
