// Goal: with a delay of states a stream goes through them as the service's do, and a restart or a full disk in between
// leaves nothing undone. Method: the operations over the store in memory, timers that the test turns.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TributaryError } from '../../stream/errors.ts';
import { KinesisClient, arnOf } from './kinesis-client.ts';

const DELAY_MS = 500;
/** Kinesis API, CreateStream. */
const STREAMS_CREATING_MAX = 5;
const StreamName = 's';
const NOT_FOUND = 'ResourceNotFoundException: Stream s under account 000000000000 not found.';
const notActive = (state: string) =>
  `ResourceInUseException: Stream s under account 000000000000 not ACTIVE, instead in state ${state}`;

let rig: KinesisClient;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  rig = await KinesisClient.open({ stateDelayMs: DELAY_MS });
});
afterEach(() => void vi.useRealTimers());

const create = (name = StreamName) => rig.call('CreateStream', { StreamName: name, ShardCount: 1 });
const pass = () => vi.advanceTimersByTimeAsync(DELAY_MS);
const status = async (name = StreamName) => {
  const { StreamDescriptionSummary } = await rig.call('DescribeStreamSummary', { StreamName: name });
  return (StreamDescriptionSummary as { StreamStatus: string }).StreamStatus;
};
const put = { StreamName, PartitionKey: 'k', Data: 'AAAA' };
const split = {
  StreamName,
  ShardToSplit: 'shardId-000000000000',
  NewStartingHashKey: '170141183460469231731687303715884105728',
};
/** What is refused while the stream is not ACTIVE. */
const CONTROL: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
  ['DeleteStream', { StreamName }],
  ['AddTagsToStream', { StreamName, Tags: { a: '' } }],
  ['IncreaseStreamRetentionPeriod', { StreamName, RetentionPeriodHours: 48 }],
  ['SplitShard', split],
  ['RegisterStreamConsumer', { StreamARN: arnOf('s'), ConsumerName: 'c' }],
];

describe('a stream', () => {
  it('is CREATING without shards or records, then ACTIVE', async () => {
    await create();
    expect(await status()).toBe('CREATING');
    const { StreamDescription } = await rig.call('DescribeStream', { StreamName });
    expect(StreamDescription).toMatchObject({ Shards: [], HasMoreShards: false });
    expect(await rig.refusal('PutRecord', put)).toBe(NOT_FOUND);
    for (const [operation, input] of CONTROL)
      expect(await rig.refusal(operation, input)).toBe(notActive('CREATING'));
    expect(await rig.refusal('CreateStream', { StreamName, ShardCount: 1 })).toBe(
      'ResourceInUseException: Stream s under account 000000000000 already exists.',
    );
    await pass();
    expect(await status()).toBe('ACTIVE');
    await rig.call('PutRecord', put);
  });

  it('is UPDATING while it is split, takes records without a gap, then is ACTIVE with the children', async () => {
    await create();
    await pass();
    await rig.call('SplitShard', split);
    expect(await status()).toBe('UPDATING');
    await rig.call('PutRecord', put);
    for (const [operation, input] of CONTROL)
      expect(await rig.refusal(operation, input)).toBe(notActive('UPDATING'));
    await pass();
    expect(await status()).toBe('ACTIVE');
    expect((await rig.call('ListShards', { StreamName }))['Shards']).toHaveLength(3);
    await rig.call('PutRecord', put);
  });

  it('is DELETING, then gone with its consumers', async () => {
    await create();
    await pass();
    await rig.call('RegisterStreamConsumer', { StreamARN: arnOf('s'), ConsumerName: 'c' });
    await pass();
    await rig.call('DeleteStream', { StreamName, EnforceConsumerDeletion: true });
    expect(await status()).toBe('DELETING');
    for (const [operation, input] of CONTROL)
      expect(await rig.refusal(operation, input)).toBe(notActive('DELETING'));
    await pass();
    expect(await rig.refusal('DescribeStreamSummary', { StreamName })).toBe(NOT_FOUND);
    for await (const { key } of rig.store.meta.list('consumer/')) expect.unreachable(key);
  });
});

it(`at most ${STREAMS_CREATING_MAX} are CREATING together`, async () => {
  for (let n = 0; n < STREAMS_CREATING_MAX; n += 1) await create(`s${n}`);
  expect(await rig.refusal('CreateStream', { StreamName: 'more', ShardCount: 1 })).toMatch(
    /^LimitExceededException/,
  );
  await pass();
  await create('more');
});

it('a restart finishes what was under way', async () => {
  for (const name of ['updated', 'deleted']) await create(name);
  await pass();
  await create('created');
  await rig.call('SplitShard', { ...split, StreamName: 'updated' });
  await rig.call('DeleteStream', { StreamName: 'deleted' });
  await rig.restart();
  expect((await rig.call('ListStreams', {}))['StreamNames']).toEqual(['created', 'updated']);
  expect([await status('created'), await status('updated')]).toEqual(['ACTIVE', 'ACTIVE']);
  expect((await rig.call('ListShards', { StreamName: 'updated' }))['Shards']).toHaveLength(3);
});

it('a full disk keeps a state for a while longer', async () => {
  await create();
  rig.store.failNext('ENOSPC');
  await pass();
  expect(await status()).toBe('CREATING');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await status()).toBe('ACTIVE');
});

describe('without a delay of states', () => {
  beforeEach(async () => {
    rig = await KinesisClient.open();
    await create();
  });
  /** The next `call` of the log meets a full disk. */
  const refuseNext = (call: 'closeShard' | 'createShard' | 'dropShard') =>
    vi.spyOn(rig.store.log, call).mockImplementationOnce(async () => {
      throw new TributaryError('STORAGE_FULL', 'the disk is full: nothing was written');
    });

  it.each(['closeShard', 'createShard'] as const)(
    'a split that a full disk interrupts at %s goes on by itself',
    async (call) => {
      refuseNext(call);
      expect(await rig.refusal('SplitShard', split)).toMatch(/the disk is full/);
      expect(await status()).toBe('UPDATING');
      await vi.advanceTimersByTimeAsync(1_000);
      expect(await status()).toBe('ACTIVE');
      expect((await rig.call('ListShards', { StreamName }))['Shards']).toHaveLength(3);
    },
  );

  it('streams that a full disk left half made or half deleted do not stay so', async () => {
    refuseNext('createShard');
    expect(await rig.refusal('CreateStream', { StreamName: 'made', ShardCount: 1 })).toMatch(
      /the disk is full/,
    );
    refuseNext('dropShard');
    expect(await rig.refusal('DeleteStream', { StreamName })).toMatch(/the disk is full/);
    expect([await status('made'), await status()]).toEqual(['CREATING', 'DELETING']);
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await rig.call('ListStreams', {}))['StreamNames']).toEqual(['made']);
    expect(await status('made')).toBe('ACTIVE');
  });

  it('a server starts on a full disk and finishes what was under way when there is room', async () => {
    refuseNext('closeShard');
    await rig.refusal('SplitShard', split);
    refuseNext('closeShard');
    await rig.restart();
    expect(await status()).toBe('UPDATING');
    await rig.call('PutRecord', put);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await status()).toBe('ACTIVE');
  });
});

it('a stream that a gateway needs is made at once', async () => {
  const made = await rig.context.catalog.ensure('telemetry', { mode: 'PROVISIONED', shardCount: 1 });
  expect(made.status).toBe('ACTIVE');
  await create();
  await expect(rig.context.catalog.ensure('s', { mode: 'PROVISIONED', shardCount: 1 })).rejects.toMatchObject(
    { type: 'ResourceInUseException' },
  );
});
