// Goal: a stream's retention can be changed both ways, for every way of reading, and a crash in between leaves nothing
// undone. Method: the operations over the store in memory and a clock that the test turns.
import { beforeEach, expect, it, vi } from 'vitest';
import { KinesisClient } from './kinesis-client.ts';

const HOUR_MS = 3_600_000;
const StreamName = 's';
const ShardId = 'shardId-000000000000';

let rig: KinesisClient;
beforeEach(async () => {
  rig = await KinesisClient.open();
  await rig.call('CreateStream', { StreamName, ShardCount: 1 });
});

const put = (text: string) =>
  rig.call('PutRecord', { StreamName, PartitionKey: 'k', Data: Buffer.from(text).toString('base64') });
const textsOf = ({ Records }: Readonly<Record<string, unknown>>): string =>
  (Records as { Data: string }[]).map(({ Data }) => Buffer.from(Data, 'base64').toString()).join('');
const read = async (start: object): Promise<string> => {
  const { ShardIterator } = await rig.call('GetShardIterator', { StreamName, ShardId, ...start });
  return textsOf(await rig.call('GetRecords', { ShardIterator }));
};
const oldest = () => read({ ShardIteratorType: 'TRIM_HORIZON' });
const increase = (RetentionPeriodHours: number) =>
  rig.call('IncreaseStreamRetentionPeriod', { StreamName, RetentionPeriodHours });
const decrease = (RetentionPeriodHours: number) =>
  rig.call('DecreaseStreamRetentionPeriod', { StreamName, RetentionPeriodHours });
const hours = async () => {
  const { StreamDescriptionSummary } = await rig.call('DescribeStreamSummary', { StreamName });
  return (StreamDescriptionSummary as { RetentionPeriodHours: number }).RetentionPeriodHours;
};

it('increased, it keeps what is there and brings back nothing that expired', async () => {
  await put('a');
  rig.passMs(20 * HOUR_MS);
  await put('b');
  rig.passMs(5 * HOUR_MS);
  expect(await oldest()).toBe('b');
  await increase(48);
  expect([await oldest(), await hours()]).toEqual(['b', 48]);
  rig.passMs(30 * HOUR_MS);
  expect(await oldest()).toBe('b');
  rig.passMs(20 * HOUR_MS);
  expect(await oldest()).toBe('');
});

it('decreased, it hides what is older at once from every way of reading, and for good', async () => {
  await increase(72);
  const { SequenceNumber } = await put('a');
  rig.passMs(48 * HOUR_MS);
  await put('b');
  const { ShardIterator } = await rig.call('GetShardIterator', {
    StreamName,
    ShardId,
    ShardIteratorType: 'TRIM_HORIZON',
  });
  await decrease(24);
  expect(textsOf(await rig.call('GetRecords', { ShardIterator }))).toBe('b');
  const starts = [
    { ShardIteratorType: 'TRIM_HORIZON' },
    { ShardIteratorType: 'AT_TIMESTAMP', Timestamp: 1_800_000_000 },
    { ShardIteratorType: 'AT_SEQUENCE_NUMBER', StartingSequenceNumber: SequenceNumber },
    { ShardIteratorType: 'AFTER_SEQUENCE_NUMBER', StartingSequenceNumber: SequenceNumber },
  ];
  for (const start of starts) expect(await read(start)).toBe('b');
  await increase(72);
  for (const start of starts) expect(await read(start)).toBe('b');
});

it('increased, it brings back no closed shard that had expired, which nobody can split either', async () => {
  const listed = async () => (await rig.call('ListShards', { StreamName }))['Shards'];
  const split = { StreamName, ShardToSplit: ShardId, NewStartingHashKey: '1000' };
  await rig.call('SplitShard', split);
  expect(await listed()).toHaveLength(3);
  rig.passMs(25 * HOUR_MS);
  expect(await listed()).toHaveLength(2);
  expect(await rig.refusal('SplitShard', split)).toBe(
    `ResourceNotFoundException: Could not find shard ${ShardId} in stream s under account 000000000000.`,
  );
  await increase(48);
  expect(await listed()).toHaveLength(2);
  await rig.restart();
  expect(await listed()).toHaveLength(2);
});

it('equal is no change; the wrong way and the bounds are refused', async () => {
  await increase(48);
  await increase(48);
  await decrease(48);
  const asked = (operation: string, RetentionPeriodHours: number) =>
    rig.refusal(`${operation}StreamRetentionPeriod`, { StreamName, RetentionPeriodHours });
  expect(await asked('Increase', 47)).toBe(
    'InvalidArgumentException: Requested retention period (47 hours) for stream s can not be shorter than existing retention period (48 hours). Use DecreaseRetentionPeriod API.',
  );
  expect(await asked('Decrease', 49)).toBe(
    'InvalidArgumentException: Requested retention period (49 hours) for stream s can not be longer than existing retention period (48 hours). Use IncreaseRetentionPeriod API.',
  );
  for (const operation of ['Increase', 'Decrease']) {
    expect(await asked(operation, 23)).toBe(
      'InvalidArgumentException: Minimum allowed retention period is 24 hours. Requested retention period (23 hours) is too short.',
    );
    expect(await asked(operation, 8_761)).toBe(
      'InvalidArgumentException: Maximum allowed retention period is 8760 hours. Requested retention period (8761 hours) is too long.',
    );
  }
  expect(await hours()).toBe(48);
});

it('is finished at the next start when the shards did not get it', async () => {
  await put('a');
  vi.spyOn(rig.store.log, 'setRetention').mockRejectedValueOnce(new Error('killed'));
  await expect(increase(48)).rejects.toThrow('killed');
  await rig.restart();
  rig.passMs(30 * HOUR_MS);
  expect([await oldest(), await hours()]).toEqual(['a', 48]);
});

it('is finished by the next change when the shards did not get it', async () => {
  await put('a');
  vi.spyOn(rig.store.log, 'setRetention').mockRejectedValueOnce(new Error('full'));
  await expect(increase(48)).rejects.toThrow('full');
  await increase(48);
  rig.passMs(30 * HOUR_MS);
  expect(await oldest()).toBe('a');
});

it('is changed though an expired shard has left the log before the map', async () => {
  await rig.call('SplitShard', {
    StreamName,
    ShardToSplit: ShardId,
    NewStartingHashKey: '170141183460469231731687303715884105728',
  });
  const { id: streamId } = rig.context.catalog.get(StreamName);
  await rig.store.log.dropShard({ streamId, shardId: ShardId });
  rig.passMs(25 * HOUR_MS);
  await rig.restart();
  await increase(48);
  expect(await hours()).toBe(48);
  const { Shards } = await rig.call('ListShards', { StreamName });
  expect((Shards as { ShardId: string }[]).map(({ ShardId: id }) => id)).toEqual([
    'shardId-000000000001',
    'shardId-000000000002',
  ]);
});
