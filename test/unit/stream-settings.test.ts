// Goal: what an owner may set of a stream and of the account holds, is shown, and outlives a restart. Method: the
// operations over the store in memory and a clock that the test turns.
import { beforeEach, describe, expect, it } from 'vitest';
import { KinesisClient, arnOf } from './kinesis-client.ts';

const HOUR_MS = 3_600_000;
const StreamName = 's';
const StreamARN = arnOf(StreamName);

let rig: KinesisClient;
beforeEach(async () => {
  rig = await KinesisClient.open();
  await rig.call('CreateStream', { StreamName, ShardCount: 1 });
});

const summary = async (name = StreamName) =>
  (await rig.call('DescribeStreamSummary', { StreamName: name }))['StreamDescriptionSummary'] as Record<
    string,
    unknown
  >;
const setMode = (StreamMode: string, more = {}) => ({
  StreamARN,
  StreamModeDetails: { StreamMode },
  ...more,
});
const commit = (Status: string) =>
  rig.call('UpdateAccountSettings', { MinimumThroughputBillingCommitment: { Status } });
const commitment = async () =>
  (await rig.call('DescribeAccountSettings', {}))['MinimumThroughputBillingCommitment'];

describe('the mode', () => {
  it('changes twice in 24 hours, and the shards stay', async () => {
    await rig.call('UpdateStreamMode', setMode('ON_DEMAND'));
    expect(await summary()).toMatchObject({
      StreamModeDetails: { StreamMode: 'ON_DEMAND' },
      OpenShardCount: 1,
    });
    // No change is none of the two.
    await rig.call('UpdateStreamMode', setMode('ON_DEMAND'));
    rig.passMs(12 * HOUR_MS);
    await rig.call('UpdateStreamMode', setMode('PROVISIONED'));
    await rig.restart();
    expect(await rig.refusal('UpdateStreamMode', setMode('ON_DEMAND'))).toMatch(/^LimitExceededException/);
    rig.passMs(12 * HOUR_MS);
    await rig.call('UpdateStreamMode', setMode('ON_DEMAND'));
    expect(await rig.refusal('UpdateStreamMode', setMode('PROVISIONED'))).toMatch(/^LimitExceededException/);
  });

  it('ON_DEMAND is for so many streams', async () => {
    for (let n = 0; n < 50; n += 1)
      await rig.context.catalog.create(`d${n}`, { mode: 'ON_DEMAND', shardCount: 1 });
    expect(await rig.refusal('UpdateStreamMode', setMode('ON_DEMAND'))).toMatch(/^LimitExceededException/);
    expect(await rig.call('DescribeLimits', {})).toEqual({
      ShardLimit: 1_000,
      OpenShardCount: 51,
      OnDemandStreamCount: 50,
      OnDemandStreamCountLimit: 50,
    });
    await rig.call('DeleteStream', { StreamName: 'd0' });
    await rig.call('UpdateStreamMode', setMode('ON_DEMAND'));
  });
});

describe('the largest record', () => {
  const put = (bytes: number) =>
    rig.call('PutRecord', {
      StreamName,
      PartitionKey: 'key',
      Data: Buffer.alloc(bytes - 3).toString('base64'),
    });
  const MIB = 1024 * 1024;

  it('is 1 MiB with its key, and up to 10 MiB when that is asked for', async () => {
    await put(MIB);
    await expect(put(MIB + 1)).rejects.toMatchObject({ type: 'ValidationException' });
    await rig.call('UpdateMaxRecordSize', { StreamARN, MaxRecordSizeInKiB: 10_240 });
    expect(await summary()).toMatchObject({ MaxRecordSizeInKiB: 10_240 });
    await put(10 * MIB);
    const ShardId = 'shardId-000000000000';
    const { ShardIterator } = await rig.call('GetShardIterator', {
      StreamName,
      ShardId,
      ShardIteratorType: 'TRIM_HORIZON',
    });
    const sizes: number[] = [];
    for (let next: unknown = ShardIterator; sizes.length < 2;) {
      const page = await rig.call('GetRecords', { ShardIterator: next });
      sizes.push(
        ...(page['Records'] as { Data: string }[]).map(({ Data }) => Buffer.from(Data, 'base64').length),
      );
      next = page['NextShardIterator'];
    }
    expect(sizes).toEqual([MIB - 3, 10 * MIB - 3]);
    await rig.call('UpdateMaxRecordSize', { StreamARN, MaxRecordSizeInKiB: 1_024 });
    await expect(put(MIB + 1)).rejects.toMatchObject({ type: 'ValidationException' });
  });

  it.each([1_023, 10_241])('is not %d KiB', async (MaxRecordSizeInKiB) => {
    expect(await rig.refusal('UpdateMaxRecordSize', { StreamARN, MaxRecordSizeInKiB })).toMatch(
      /^ValidationException/,
    );
  });
});

describe('warm throughput', () => {
  const warm = (WarmThroughputMiBps: number) => ({ StreamName, WarmThroughputMiBps });

  it('is for streams on demand of an account with a commitment', async () => {
    expect(await rig.refusal('UpdateStreamWarmThroughput', warm(8))).toMatch(/^InvalidArgument.*On-Demand/);
    await rig.call('UpdateStreamMode', setMode('ON_DEMAND'));
    expect(await rig.refusal('UpdateStreamWarmThroughput', warm(8))).toMatch(/^InvalidArgument.*Commitment/);
    const create = {
      StreamName: 'w',
      StreamModeDetails: { StreamMode: 'ON_DEMAND' },
      WarmThroughputMiBps: 6,
    };
    expect(await rig.refusal('CreateStream', create)).toMatch(/^InvalidArgument.*Commitment/);
    await commit('ENABLED');
    await rig.call('CreateStream', create);
    expect(await summary('w')).toMatchObject({
      OpenShardCount: 6,
      WarmThroughput: { TargetMiBps: 6, CurrentMiBps: 6 },
    });
  });

  it('splits shards until there are enough, and never more than the account may have', async () => {
    await commit('ENABLED');
    await rig.call('UpdateStreamMode', setMode('ON_DEMAND', { WarmThroughputMiBps: 5 }));
    expect(await summary()).toMatchObject({ OpenShardCount: 5 });
    expect(await rig.call('UpdateStreamWarmThroughput', warm(8))).toEqual({
      StreamName,
      StreamARN,
      WarmThroughput: { TargetMiBps: 8, CurrentMiBps: 8 },
    });
    await rig.call('UpdateStreamWarmThroughput', warm(2));
    expect(await summary()).toMatchObject({
      OpenShardCount: 8,
      WarmThroughput: { TargetMiBps: 2, CurrentMiBps: 2 },
    });
    expect(await rig.refusal('UpdateStreamWarmThroughput', warm(1_001))).toMatch(/^LimitExceededException/);
    expect(await summary()).toMatchObject({ OpenShardCount: 8, WarmThroughput: { TargetMiBps: 2 } });
  });

  it('that comes with the mode counts the shards that the stream has', async () => {
    await commit('ENABLED');
    await rig.call('CreateStream', { StreamName: 'large', ShardCount: 600 });
    const change = { ...setMode('ON_DEMAND', { WarmThroughputMiBps: 1_000 }), StreamARN: arnOf('large') };
    expect(await rig.refusal('UpdateStreamMode', change)).toMatch(/^LimitExceededException/);
    expect(await summary('large')).toMatchObject({ OpenShardCount: 600 });
  });
});

describe('a commitment', () => {
  it('holds for a day at least, and allows more consumers', async () => {
    expect(await commitment()).toEqual({ Status: 'DISABLED' });
    const StartedAt = 1_800_000_000;
    const EarliestAllowedEndAt = StartedAt + 86_400;
    const started = { StartedAt, EarliestAllowedEndAt };
    expect(await commit('ENABLED')).toEqual({
      MinimumThroughputBillingCommitment: { Status: 'ENABLED', ...started },
    });
    await commit('DISABLED');
    await rig.restart();
    const ending = { Status: 'ENABLED_UNTIL_EARLIEST_ALLOWED_END', ...started };
    expect(await commitment()).toEqual(ending);
    await rig.call('UpdateStreamMode', setMode('ON_DEMAND'));
    for (let n = 0; n < 21; n += 1)
      await rig.call('RegisterStreamConsumer', { StreamARN, ConsumerName: `c${n}` });
    rig.passMs(24 * HOUR_MS);
    expect(await commitment()).toEqual({ Status: 'DISABLED', StartedAt, EndedAt: EarliestAllowedEndAt });
    expect(await rig.refusal('RegisterStreamConsumer', { StreamARN, ConsumerName: 'more' })).toMatch(
      /^LimitExceededException/,
    );
    await commit('ENABLED');
    expect(await commitment()).toMatchObject({ Status: 'ENABLED', StartedAt: EarliestAllowedEndAt });
  });

  it('whose end was asked for goes on when it is asked for again', async () => {
    await commit('ENABLED');
    await commit('DISABLED');
    rig.passMs(HOUR_MS);
    await commit('ENABLED');
    expect(await commitment()).toMatchObject({ Status: 'ENABLED', StartedAt: 1_800_000_000 });
  });
});

describe('metrics of single shards', () => {
  const enable = (...ShardLevelMetrics: string[]) =>
    rig.call('EnableEnhancedMonitoring', { StreamName, ShardLevelMetrics });
  const disable = (...ShardLevelMetrics: string[]) =>
    rig.call('DisableEnhancedMonitoring', { StreamName, ShardLevelMetrics });
  const ALL = [
    'IncomingBytes',
    'IncomingRecords',
    'OutgoingBytes',
    'OutgoingRecords',
    'WriteProvisionedThroughputExceeded',
    'ReadProvisionedThroughputExceeded',
    'IteratorAgeMilliseconds',
  ];

  it('are named as they were and are', async () => {
    const head = { StreamName, StreamARN };
    expect(await enable('OutgoingBytes', 'IncomingBytes')).toEqual({
      ...head,
      CurrentShardLevelMetrics: [],
      DesiredShardLevelMetrics: ['IncomingBytes', 'OutgoingBytes'],
    });
    expect(await enable('ALL')).toEqual({
      ...head,
      CurrentShardLevelMetrics: ['IncomingBytes', 'OutgoingBytes'],
      DesiredShardLevelMetrics: ALL,
    });
    const rest = ALL.slice(1);
    expect(await disable('IncomingBytes')).toEqual({
      ...head,
      CurrentShardLevelMetrics: ALL,
      DesiredShardLevelMetrics: rest,
    });
    await rig.restart();
    expect(await summary()).toMatchObject({ EnhancedMonitoring: [{ ShardLevelMetrics: rest }] });
    expect(await disable('ALL')).toMatchObject({ DesiredShardLevelMetrics: [] });
  });

  it.each(['EnableEnhancedMonitoring', 'DisableEnhancedMonitoring'])(
    '%s needs a stream',
    async (operation) => {
      const input = { StreamName: 'none', ShardLevelMetrics: ['ALL'] };
      expect(await rig.refusal(operation, input)).toMatch(/^ResourceNotFoundException/);
    },
  );
});
