// Goal: each operation may be called as often as the service allows, by account or by stream, and an operator may change
// it. Method: the limits alone and the operations over the store in memory, with a clock that the test turns.
import { describe, expect, it } from 'vitest';
import { CallLimits, callLimitSettings } from '../../server/kinesis/call-limits.ts';
import { kinesisService } from '../../server/kinesis/kinesis-service.ts';
import { KinesisClient, arnOf } from './kinesis-client.ts';

let nowMs = 0;
const account = { accountId: '000000000000', region: 'us-east-1' };
const limits = (profile: 'aws' | 'off', settings = {}) =>
  new CallLimits(profile, callLimitSettings.parse(settings), { account, now: () => nowMs });
/** Calls that pass at one moment, of at most 2,000. */
const passing = (of: CallLimits, operation: string, resource: string): number => {
  for (let count = 0; count < 2_000; count += 1) {
    try {
      of.check(operation, resource);
    } catch (error) {
      expect(error).toMatchObject({ type: 'LimitExceededException', retryable: true });
      return count;
    }
  }
  return Infinity;
};

describe('by the service', () => {
  it('calls of the account share a limit, and get more with the time', () => {
    const of = limits('aws');
    expect(passing(of, 'CreateStream', arnOf('a'))).toBe(5);
    expect(passing(of, 'CreateStream', arnOf('b'))).toBe(0);
    expect(passing(of, 'DeleteStream', arnOf('b'))).toBe(5);
    expect(passing(of, 'DescribeLimits', '*')).toBe(1);
    nowMs += 400;
    expect(passing(of, 'CreateStream', arnOf('c'))).toBe(2);
  });

  it('calls about a stream and its consumers share another one for each stream', () => {
    const of = limits('aws');
    expect(passing(of, 'DescribeStreamConsumer', `${arnOf('a')}/consumer/c:1`)).toBe(20);
    expect(passing(of, 'DescribeStreamConsumer', `${arnOf('a')}/consumer/d:1`)).toBe(0);
    expect(passing(of, 'DescribeStreamConsumer', `${arnOf('b')}/consumer/c:1`)).toBe(20);
    expect(passing(of, 'ListShards', arnOf('a'))).toBe(1_000);
  });

  it('reading and writing records is not counted here', () => {
    for (const operation of ['PutRecord', 'PutRecords', 'GetRecords', 'GetShardIterator', 'SubscribeToShard'])
      expect(passing(limits('aws'), operation, arnOf('a'))).toBe(Infinity);
  });

  it('every other operation that is offered has a limit', async () => {
    const { context } = await KinesisClient.open();
    const data = /^(?:PutRecords?|GetRecords|GetShardIterator|SubscribeToShard)$/;
    for (const operation of Object.keys(kinesisService(context).operations))
      if (!data.test(operation))
        expect([operation, passing(limits('aws'), operation, arnOf('a'))]).not.toEqual([operation, Infinity]);
  });
});

describe('by an operator', () => {
  it('one operation has another limit, with and without the others', () => {
    expect(passing(limits('aws', { CreateStream: 7 }), 'CreateStream', arnOf('a'))).toBe(7);
    expect(passing(limits('off', { CreateStream: 7 }), 'CreateStream', arnOf('a'))).toBe(7);
    expect(passing(limits('off', { CreateStream: 7 }), 'DeleteStream', arnOf('a'))).toBe(Infinity);
  });

  it('other names and numbers are refused', () => {
    expect(callLimitSettings.safeParse({ PutRecord: 5 }).success).toBe(false);
    expect(callLimitSettings.safeParse({ CreateStream: 0 }).success).toBe(false);
  });
});

it('the call that comes too soon is told which stream, and changes nothing', async () => {
  const client = await KinesisClient.open({ limits: 'aws' });
  await client.call('CreateStream', { StreamName: 's', ShardCount: 1 });
  for (let n = 0; n < 4; n += 1) await client.call('CreateStream', { StreamName: `s${n}`, ShardCount: 1 });
  expect(await client.refusal('CreateStream', { StreamName: 'more', ShardCount: 1 })).toBe(
    'LimitExceededException: Rate exceeded for stream more under account 000000000000.',
  );
  await client.call('DescribeLimits', {});
  expect(await client.refusal('DescribeLimits', {})).toBe(
    'LimitExceededException: Rate exceeded for account 000000000000.',
  );
  client.passMs(200);
  await client.call('CreateStream', { StreamName: 'more', ShardCount: 1 });
});
