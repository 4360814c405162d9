# What programs do with streams through boto3, topic by topic. Its argument is the server's URL; prints what it saw, by topic.
import datetime
import json
import os
import sys
import time

import boto3
from botocore.config import Config


def opened(**more):
    config = Config(retries={'total_max_attempts': 1})
    return boto3.client('kinesis', endpoint_url=sys.argv[1], region_name='us-east-1', config=config, **more)


client = opened()


def created(name, **more):
    client.create_stream(StreamName=name, **{'ShardCount': 1, **more})
    client.get_waiter('stream_exists').wait(StreamName=name)
    return summary(name)['StreamARN']


def gone(name, **more):
    client.delete_stream(StreamName=name, **more)
    client.get_waiter('stream_not_exists').wait(StreamName=name)


def summary(name):
    return client.describe_stream_summary(StreamName=name)['StreamDescriptionSummary']


def refusal(call, **parameters):
    """The name of the exception, for which boto3 has a class."""
    try:
        call(**parameters)
    except client.exceptions.ClientError as error:
        name = error.response['Error']['Code']
        return name if isinstance(error, getattr(client.exceptions, name)) else f'{name} without a class'
    return None


def on_demand():
    client.create_stream(StreamName='demand', StreamModeDetails={'StreamMode': 'ON_DEMAND'})
    client.get_waiter('stream_exists').wait(StreamName='demand')
    same = dict(StreamName='demand', PartitionKey='same', Data=b'')
    shards = [client.put_record(ExplicitHashKey=key, **same)['ShardId'] for key in ('0', str(2**128 - 1))]
    refused = refusal(
        client.update_shard_count, StreamName='demand', TargetShardCount=8, ScalingType='UNIFORM_SCALING'
    )
    count = summary('demand')['OpenShardCount']
    gone('demand')
    return dict(shards=shards, refused=refused, count=count)


def iterators():
    created('read')
    shard = dict(StreamName='read', ShardId='shardId-000000000000')
    put = dict(StreamName='read', PartitionKey='k')

    def read(kind, **start):
        first = client.get_shard_iterator(ShardIteratorType=kind, **shard, **start)['ShardIterator']
        return ''.join(record['Data'].decode() for record in client.get_records(ShardIterator=first)['Records'])

    client.put_record(Data=b'a', **put)
    time.sleep(0.02)
    # boto3 sends whole seconds.
    since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=60)
    number = client.put_record(Data=b'b', **put)['SequenceNumber']
    client.put_record(Data=b'c', SequenceNumberForOrdering=number, **put)
    seen = [
        read('TRIM_HORIZON'),
        read('LATEST'),
        read('AT_SEQUENCE_NUMBER', StartingSequenceNumber=number),
        read('AFTER_SEQUENCE_NUMBER', StartingSequenceNumber=number),
        read('AT_TIMESTAMP', Timestamp=since),
    ]
    gone('read')
    return seen


def pagination():
    for name in 'cab':
        created(name, ShardCount=3, Tags={'x': '', 'y': '', 'z': ''})

    def pages(operation, key, **parameters):
        paginator = client.get_paginator(operation)
        found = [page for page in paginator.paginate(PaginationConfig={'PageSize': 2}, **parameters)]
        return [len(key(page)) for page in found]

    first = client.list_tags_for_stream(StreamName='a', Limit=2)
    rest = client.list_tags_for_stream(StreamName='a', ExclusiveStartTagKey=first['Tags'][-1]['Key'])
    seen = dict(
        streams=pages('list_streams', lambda page: page['StreamNames']),
        shards=pages('list_shards', lambda page: page['Shards'], StreamName='a'),
        described=pages('describe_stream', lambda page: page['StreamDescription']['Shards'], StreamName='a'),
        tags=[len(first['Tags']), first['HasMoreTags'], len(rest['Tags']), rest['HasMoreTags']],
    )
    for name in 'abc':
        gone(name)
    return seen


def encryption():
    created('sealed')
    key = dict(StreamName='sealed', EncryptionType='KMS', KeyId='alias/aws/kinesis')
    entries = [{'PartitionKey': 'k', 'Data': b'secret'}]

    def put():
        answer = client.put_records(StreamName='sealed', Records=entries)
        return answer.get('EncryptionType')

    puts = [put()]
    client.start_stream_encryption(**key)
    client.get_waiter('stream_exists').wait(StreamName='sealed')
    puts.append(put())
    head = summary('sealed')
    unknown = refusal(client.start_stream_encryption, **{**key, 'KeyId': 'alias/none'})
    client.stop_stream_encryption(**key)
    puts.append(put())
    iterator = client.get_shard_iterator(
        StreamName='sealed', ShardId='shardId-000000000000', ShardIteratorType='TRIM_HORIZON'
    )['ShardIterator']
    records = client.get_records(ShardIterator=iterator)['Records']
    gone('sealed')
    return dict(
        puts=puts,
        head=[head['EncryptionType'], head['KeyId']],
        unknown=unknown,
        records=[[record['Data'].decode(), record.get('EncryptionType')] for record in records],
    )


def settings():
    arn = created('set')
    client.enable_enhanced_monitoring(StreamName='set', ShardLevelMetrics=['ALL'])
    off = client.disable_enhanced_monitoring(StreamName='set', ShardLevelMetrics=['IncomingBytes'])
    client.increase_stream_retention_period(StreamARN=arn, RetentionPeriodHours=8760)
    longest = summary('set')['RetentionPeriodHours']
    client.decrease_stream_retention_period(StreamARN=arn, RetentionPeriodHours=24)
    seen = dict(
        metrics=[len(off['CurrentShardLevelMetrics']), len(off['DesiredShardLevelMetrics'])],
        hours=[longest, summary('set')['RetentionPeriodHours']],
        limits=client.describe_limits()['OpenShardCount'],
        account=client.describe_account_settings()['MinimumThroughputBillingCommitment']['Status'],
    )
    gone('set')
    return seen


def errors():
    created('errors')
    create = dict(StreamName='errors', ShardCount=1)
    resize = dict(StreamName='errors', TargetShardCount=3, ScalingType='UNIFORM_SCALING')
    guest = opened(
        aws_access_key_id=os.environ['GUEST_KEY_ID'], aws_secret_access_key=os.environ['GUEST_SECRET']
    )
    entry = dict(PartitionKey='k', Data=bytes(1024 * 1024 - 1))
    # A second brings the room for one of them.
    put = client.put_records(StreamName='errors', Records=[entry] * 9)
    seen = dict(
        missing=refusal(client.describe_stream, StreamName='none'),
        twice=refusal(client.create_stream, **create),
        argument=refusal(client.get_records, ShardIterator='AAAA'),
        constraint=refusal(client.create_stream, StreamName='a b', ShardCount=1),
        limit=refusal(client.update_shard_count, **resize),
        denied=refusal(guest.list_streams),
        failed=put['FailedRecordCount'] >= 8,
        codes=sorted({record['ErrorCode'] for record in put['Records'] if 'ErrorCode' in record}),
    )
    gone('errors')
    return seen


TOPICS = (on_demand, iterators, pagination, encryption, settings, errors)
print(json.dumps({topic.__name__: topic() for topic in TOPICS if topic.__name__ in sys.argv[2:]}))
