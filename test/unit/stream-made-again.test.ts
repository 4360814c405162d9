// Goal: a checkpoint that a consumer kept of a deleted stream hides nothing of the stream made again under its name.
// Method: the operations over the store in memory, and a clock that the test turns.
import { beforeEach, describe, expect, it } from 'vitest';
import { KinesisClient } from './kinesis-client.ts';

const StreamName = 's';
const ShardId = 'shardId-000000000000';

let rig: KinesisClient;
beforeEach(async () => {
  rig = await KinesisClient.open();
  await rig.call('CreateStream', { StreamName, ShardCount: 1 });
});

/** Its sequence number. */
const put = async (text: string) => {
  const Data = Buffer.from(text).toString('base64');
  return (await rig.call('PutRecord', { StreamName, PartitionKey: 'k', Data }))['SequenceNumber'] as string;
};
const makeAgain = async () => {
  await rig.call('DeleteStream', { StreamName });
  rig.passMs(1);
  await rig.call('CreateStream', { StreamName, ShardCount: 1 });
};
const textsAt = async (ShardIteratorType: string, StartingSequenceNumber: string) => {
  const start = { StreamName, ShardId, ShardIteratorType, StartingSequenceNumber };
  const page = await rig.call('GetRecords', await rig.call('GetShardIterator', start));
  return (page['Records'] as { Data: string }[]).map(({ Data }) => Buffer.from(Data, 'base64').toString());
};

describe('a stream made again under the same name', () => {
  it('gives greater sequence numbers than the former one', async () => {
    for (let n = 0; n < 20; n += 1) await put('old');
    const last = await put('old');
    await makeAgain();
    expect(BigInt(await put('new'))).toBeGreaterThan(BigInt(last));
  });

  it('is read from its beginning by a consumer that goes on from the former one', async () => {
    await put('old');
    const checkpoint = await put('old');
    await makeAgain();
    for (const text of ['a', 'b', 'c']) await put(text);
    expect(await textsAt('AFTER_SEQUENCE_NUMBER', checkpoint)).toEqual(['a', 'b', 'c']);
    expect(await textsAt('AT_SEQUENCE_NUMBER', checkpoint)).toEqual(['a', 'b', 'c']);
  });
});
