// Goal: consumers are registered, found, listed and removed as the service does, and outlive restarts. Method: the
// operations over the store in memory.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CONSUMERS_CREATING_MAX, CONSUMERS_MAX } from '../../server/kinesis/consumers.ts';
import { KinesisClient, arnOf } from './kinesis-client.ts';

let rig: KinesisClient;
beforeEach(async () => {
  rig = await KinesisClient.open();
  await rig.call('CreateStream', { StreamName: 's', ShardCount: 1 });
});

afterEach(() => void vi.useRealTimers());

const StreamARN = arnOf('s');
const register = async (ConsumerName: string, more = {}) =>
  (await rig.call('RegisterStreamConsumer', { StreamARN, ConsumerName, ...more }))['Consumer'] as {
    ConsumerARN: string;
    ConsumerCreationTimestamp: number;
  };
const describeOne = async (input: object) =>
  (await rig.call('DescribeStreamConsumer', { ...input }))['ConsumerDescription'];
const names = (page: Readonly<Record<string, unknown>>) =>
  (page['Consumers'] as { ConsumerName: string }[]).map((one) => one.ConsumerName);
const countOf = async () => {
  const { StreamDescriptionSummary } = await rig.call('DescribeStreamSummary', { StreamName: 's' });
  return (StreamDescriptionSummary as { ConsumerCount: number }).ConsumerCount;
};

describe('a consumer', () => {
  it('is CREATING in the reply and ACTIVE when it is asked for, by ARN or by name', async () => {
    const consumer = await register('c');
    expect(consumer).toEqual({
      ConsumerName: 'c',
      ConsumerARN: `${StreamARN}/consumer/c:1800000000`,
      ConsumerStatus: 'CREATING',
      ConsumerCreationTimestamp: 1_800_000_000,
    });
    const active = { ...consumer, ConsumerStatus: 'ACTIVE', StreamARN };
    const { ConsumerARN } = consumer;
    expect(await describeOne({ ConsumerARN })).toEqual(active);
    expect(await describeOne({ StreamARN, ConsumerName: 'c' })).toEqual(active);
    expect(await describeOne({ StreamARN, ConsumerName: 'c', ConsumerARN })).toEqual(active);
    expect(await countOf()).toBe(1);
  });

  it('has a name of its own, and another ARN when it is registered again', async () => {
    const first = await register('c');
    expect(await rig.refusal('RegisterStreamConsumer', { StreamARN, ConsumerName: 'c' })).toBe(
      'ResourceInUseException: Consumer c under stream s already exists for account 000000000000.',
    );
    const { removed } = rig.context.consumers.byArn(first.ConsumerARN) ?? {};
    expect(removed?.aborted).toBe(false);
    await rig.call('DeregisterStreamConsumer', { ConsumerARN: first.ConsumerARN });
    expect(removed?.aborted).toBe(true);
    expect((await register('c')).ConsumerARN).toBe(`${StreamARN}/consumer/c:1800000001`);
    expect(await rig.refusal('DescribeStreamConsumer', { ConsumerARN: first.ConsumerARN })).toBe(
      `ResourceNotFoundException: Consumer ${first.ConsumerARN}, account 000000000000 not found.`,
    );
  });

  it.each([
    [{}, 'InvalidArgumentException'],
    [{ StreamARN }, 'InvalidArgumentException'],
    [{ ConsumerName: 'c' }, 'InvalidArgumentException'],
    [{ StreamARN, ConsumerName: 'other' }, 'ResourceNotFoundException'],
    [{ StreamARN: arnOf('none'), ConsumerName: 'c' }, 'ResourceNotFoundException'],
    [{ StreamARN: StreamARN.replace('us-', 'eu-'), ConsumerName: 'c' }, 'ResourceNotFoundException'],
    [{ ConsumerARN: `${StreamARN}/consumer/c:1800000000`, ConsumerName: 'd' }, 'InvalidArgumentException'],
    [{ ConsumerARN: `${StreamARN}/consumer/c:1`, ConsumerName: 'c' }, 'ResourceNotFoundException'],
    [
      { ConsumerARN: `${StreamARN}/consumer/c:1800000000`, StreamARN: arnOf('t') },
      'InvalidArgumentException',
    ],
  ])('is not found by %j', async (input, type) => {
    await register('c');
    for (const operation of ['DescribeStreamConsumer', 'DeregisterStreamConsumer'])
      expect(await rig.refusal(operation, input)).toMatch(new RegExp(`^${type}: `));
    expect(await countOf()).toBe(1);
  });

  it('outlives a restart, with its ARN', async () => {
    const { ConsumerARN } = await register('c', { Tags: { a: '1' } });
    await rig.restart();
    expect(await describeOne({ ConsumerARN })).toMatchObject({ ConsumerStatus: 'ACTIVE' });
    expect(rig.context.consumers.byArn(ConsumerARN)?.tags).toEqual({ a: '1' });
  });

  it('whose row cannot be written is not there', async () => {
    rig.store.failNext('ENOSPC');
    await expect(register('c')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(await countOf()).toBe(0);
    await register('c');
    rig.store.failNext('ENOSPC');
    const one = { StreamARN, ConsumerName: 'c' };
    await expect(rig.call('DeregisterStreamConsumer', one)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(await describeOne(one)).toMatchObject({ ConsumerStatus: 'ACTIVE' });
  });
});

describe('the consumers of a stream', () => {
  it('are listed by name, a page at a time, with the ARN beside the token', async () => {
    for (const name of ['b', 'd', 'a', 'c']) await register(name);
    const seen: string[][] = [];
    for (let NextToken: unknown = undefined; ;) {
      const page = await rig.call('ListStreamConsumers', {
        StreamARN,
        MaxResults: 3,
        ...(NextToken === undefined ? {} : { NextToken }),
      });
      seen.push(names(page));
      NextToken = page['NextToken'];
      if (NextToken === undefined) break;
    }
    expect(seen).toEqual([['a', 'b', 'c'], ['d']]);
  });

  it('are refused for a token that has expired, is forged or belongs to another stream', async () => {
    await rig.call('CreateStream', { StreamName: 't', ShardCount: 1 });
    for (const name of ['a', 'b']) await register(name);
    const { NextToken } = await rig.call('ListStreamConsumers', { StreamARN, MaxResults: 1 });
    expect(await rig.refusal('ListStreamConsumers', { StreamARN: arnOf('t'), NextToken })).toMatch(
      /^InvalidArgumentException/,
    );
    expect(await rig.refusal('ListStreamConsumers', { StreamARN, NextToken: 'AAAA' })).toMatch(
      /^InvalidArgumentException/,
    );
    rig.passMs(300_001);
    expect(await rig.refusal('ListStreamConsumers', { StreamARN, NextToken })).toMatch(
      /^ExpiredNextTokenException/,
    );
  });

  it('belong to the stream created then, not to a later one of its name', async () => {
    await register('c');
    const asked = { StreamARN, StreamCreationTimestamp: 1_800_000_000 };
    expect(names(await rig.call('ListStreamConsumers', asked))).toEqual(['c']);
    await rig.call('DeleteStream', { StreamARN, EnforceConsumerDeletion: true });
    rig.passMs(5_000);
    await rig.call('CreateStream', { StreamName: 's', ShardCount: 1 });
    expect(names(await rig.call('ListStreamConsumers', { StreamARN }))).toEqual([]);
    expect(await rig.refusal('ListStreamConsumers', asked)).toMatch(/^ResourceNotFoundException/);
  });

  it('keep it from being deleted unless they go with it', async () => {
    const { ConsumerARN } = await register('c');
    const { removed } = rig.context.consumers.byArn(ConsumerARN) ?? {};
    for (const more of [{}, { EnforceConsumerDeletion: false }])
      expect(await rig.refusal('DeleteStream', { StreamARN, ...more })).toMatch(/^ResourceInUseException/);
    await rig.call('DeleteStream', { StreamARN, EnforceConsumerDeletion: true });
    expect(removed?.aborted).toBe(true);
    expect(await rig.refusal('DescribeStreamConsumer', { ConsumerARN })).toMatch(/^ResourceNotFound/);
  });

  it('are gone with it though a full disk came between', async () => {
    await register('c');
    const { meta } = rig.store;
    const del = meta.del.bind(meta);
    vi.spyOn(meta, 'del').mockImplementationOnce(async (...of) => {
      rig.store.failNext('ENOSPC');
      return del(...of);
    });
    await expect(
      rig.call('DeleteStream', { StreamARN, EnforceConsumerDeletion: true }),
    ).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await rig.restart();
    expect(await rig.refusal('DescribeStreamSummary', { StreamARN })).toMatch(/^ResourceNotFound/);
    for await (const { key } of rig.store.meta.list('consumer/')) expect.unreachable(key);
  });

  it(`are at most ${CONSUMERS_MAX}`, async () => {
    const all = Array.from({ length: CONSUMERS_MAX + 1 }, (_, n) => register(`c${n}`));
    const results = await Promise.allSettled(all);
    expect(results.filter(({ status }) => status === 'rejected')).toMatchObject([
      { reason: { type: 'LimitExceededException' } },
    ]);
    expect(await countOf()).toBe(CONSUMERS_MAX);
  });
});

describe('with a delay of states', () => {
  beforeEach(async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    await rig.restart({ stateDelayMs: 1_000 });
  });
  const statusOf = async (ConsumerName: string) =>
    ((await describeOne({ StreamARN, ConsumerName })) as { ConsumerStatus: string }).ConsumerStatus;

  it('a consumer is CREATING, then ACTIVE, then DELETING, then gone', async () => {
    await register('c');
    expect(await statusOf('c')).toBe('CREATING');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await statusOf('c')).toBe('ACTIVE');
    const { removed } = rig.context.consumers.listOf(rig.context.catalog.get('s').id)[0] ?? {};
    await rig.call('DeregisterStreamConsumer', { StreamARN, ConsumerName: 'c' });
    expect([await statusOf('c'), removed?.aborted]).toEqual(['DELETING', true]);
    await rig.call('DeregisterStreamConsumer', { StreamARN, ConsumerName: 'c' });
    expect(await rig.refusal('RegisterStreamConsumer', { StreamARN, ConsumerName: 'c' })).toMatch(
      /^ResourceInUse/,
    );
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await rig.refusal('DescribeStreamConsumer', { StreamARN, ConsumerName: 'c' })).toMatch(
      /^ResourceNotFound/,
    );
  });

  it('a restart finishes what was under way', async () => {
    await register('kept');
    await vi.advanceTimersByTimeAsync(1_000);
    await register('made');
    await rig.call('DeregisterStreamConsumer', { StreamARN, ConsumerName: 'kept' });
    await rig.restart();
    expect(names(await rig.call('ListStreamConsumers', { StreamARN }))).toEqual(['made']);
    expect(await statusOf('made')).toBe('ACTIVE');
  });

  it(`at most ${CONSUMERS_CREATING_MAX} are CREATING together`, async () => {
    for (let n = 0; n < CONSUMERS_CREATING_MAX; n += 1) await register(`c${n}`);
    expect(await rig.refusal('RegisterStreamConsumer', { StreamARN, ConsumerName: 'more' })).toMatch(
      /^LimitExceededException/,
    );
    await vi.advanceTimersByTimeAsync(1_000);
    await register('more');
  });
});
