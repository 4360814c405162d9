# Splits, merges and resizes a stream through boto3, while a writer writes and two consumers follow its shards: one polls, one
# is pushed. Its argument is the server's URL. Prints how many rounds were written, and what each consumer got for each key.
import json
import sys
import threading
import time

import boto3
from botocore.config import Config

STREAM = 'lineage'
KEYS = 12
# Rounds that are written between one change of the shards and the next.
ROUNDS_BETWEEN = 6
# The last record of each shard that is open in the end.
END = b'end'

client = boto3.client(
    'kinesis',
    endpoint_url=sys.argv[1],
    region_name='us-east-1',
    config=Config(retries={'total_max_attempts': 1}, max_pool_connections=50),
)
failures = []


def in_background(work, *arguments):
    """A thread whose failure fails the program."""

    def guarded():
        try:
            work(*arguments)
        except Exception as error:
            failures.append(repr(error))

    thread = threading.Thread(target=guarded, daemon=True)
    thread.start()
    return thread


class Writer:
    """Writes rounds of one record for each key, in one request and in many by turns."""

    def __init__(self):
        self.rounds = 0
        self.is_over = False

    def run(self):
        while not self.is_over:
            entries = [self.entry(key) for key in range(KEYS)]
            if self.rounds % 2 == 0:
                failed = client.put_records(StreamName=STREAM, Records=entries)['FailedRecordCount']
                if failed != 0:
                    raise RuntimeError(f'{failed} records failed')
            else:
                for entry in entries:
                    client.put_record(StreamName=STREAM, **entry)
            self.rounds += 1

    def entry(self, key):
        place = {} if key % 2 == 0 else {'ExplicitHashKey': str(2**128 * key // KEYS)}
        return {'PartitionKey': f'k{key}', 'Data': str(self.rounds).encode(), **place}

    def wait_for_more(self):
        enough = self.rounds + ROUNDS_BETWEEN
        while self.rounds < enough and not failures:
            time.sleep(0.005)


class Consumer:
    """Follows the lineage: a child when all its parents have ended."""

    def __init__(self, read):
        self.read = read
        self.lock = threading.Lock()
        self.begun, self.ended, self.threads, self.by_key = set(), set(), [], {}

    def begin(self, shard_ids):
        with self.lock:
            for shard_id in set(shard_ids) - self.begun:
                self.begun.add(shard_id)
                self.threads.append(in_background(self.follow, shard_id))

    def follow(self, shard_id):
        for records, children in self.read(shard_id):
            with self.lock:
                for record in records:
                    self.by_key.setdefault(record['PartitionKey'], []).append(record['Data'].decode())
            if any(record['Data'] == END for record in records):
                return
            if children:
                self.ended.add(shard_id)
                self.begin(one['ShardId'] for one in children if self.ended.issuperset(one['ParentShards']))
                return
        raise RuntimeError(f'{shard_id} ended in its middle')

    def join(self):
        # Threads begin others before they end.
        for thread in self.threads:
            thread.join()


def poll(shard_id):
    iterator = client.get_shard_iterator(
        StreamName=STREAM, ShardId=shard_id, ShardIteratorType='TRIM_HORIZON'
    )['ShardIterator']
    while iterator is not None:
        page = client.get_records(ShardIterator=iterator, Limit=50)
        yield page['Records'], page.get('ChildShards')
        iterator = page.get('NextShardIterator')
        time.sleep(0.02)


def push(shard_id):
    stream = client.subscribe_to_shard(
        ConsumerARN=consumer_arn, ShardId=shard_id, StartingPosition={'Type': 'TRIM_HORIZON'}
    )['EventStream']
    for event in stream:
        yield event['SubscribeToShardEvent']['Records'], event['SubscribeToShardEvent'].get('ChildShards')


def open_shards():
    shards = client.list_shards(StreamName=STREAM, ShardFilter={'Type': 'AT_LATEST'})['Shards']
    return sorted(shards, key=lambda shard: int(shard['HashKeyRange']['StartingHashKey']))


def split():
    shard = open_shards()[0]
    middle = sum(int(key) for key in shard['HashKeyRange'].values()) // 2
    client.split_shard(StreamName=STREAM, ShardToSplit=shard['ShardId'], NewStartingHashKey=str(middle))


def merge():
    lower, upper = open_shards()[:2]
    client.merge_shards(
        StreamName=STREAM, ShardToMerge=lower['ShardId'], AdjacentShardToMerge=upper['ShardId']
    )


def resize(count):
    client.update_shard_count(StreamName=STREAM, TargetShardCount=count, ScalingType='UNIFORM_SCALING')


exists = client.get_waiter('stream_exists')
client.create_stream(StreamName=STREAM, ShardCount=2)
exists.wait(StreamName=STREAM)
arn = client.describe_stream_summary(StreamName=STREAM)['StreamDescriptionSummary']['StreamARN']
consumer_arn = client.register_stream_consumer(StreamARN=arn, ConsumerName='c')['Consumer']['ConsumerARN']
polled, pushed, writer = Consumer(poll), Consumer(push), Writer()
for consumer in (polled, pushed):
    consumer.begin(shard['ShardId'] for shard in open_shards())
writing = in_background(writer.run)
open_counts = []
for change in (split, merge, lambda: resize(4), lambda: resize(2)):
    writer.wait_for_more()
    change()
    exists.wait(StreamName=STREAM)
    open_counts.append(len(open_shards()))
writer.wait_for_more()
writer.is_over = True
writing.join()
for shard in open_shards():
    place = shard['HashKeyRange']['StartingHashKey']
    client.put_record(StreamName=STREAM, PartitionKey='end', Data=END, ExplicitHashKey=place)
if not failures:
    polled.join()
    pushed.join()
client.delete_stream(StreamName=STREAM, EnforceConsumerDeletion=True)
client.get_waiter('stream_not_exists').wait(StreamName=STREAM)
seen = dict(polled=polled.by_key, pushed=pushed.by_key)
print(json.dumps(dict(failures=failures, rounds=writer.rounds, openCounts=open_counts, **seen)))
