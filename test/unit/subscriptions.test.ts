// Who may push what to whom: taking over, what ends a subscription, and how much it may carry.
import { expect, test } from 'vitest';
import { Subscriptions } from '../../server/kinesis/subscriptions.ts';

const ACCOUNT = { accountId: '000000000000', region: 'us-east-1' };

function rig() {
  const time = { nowMs: 1_000 };
  const subscriptions = new Subscriptions({
    account: ACCOUNT,
    nowMs: () => time.nowMs,
    bytesPerSecond: 1_000,
  });
  const removal = new AbortController();
  const consumer = { arn: 'arn', name: 'c', streamName: 's', removed: removal.signal };
  const claim = (shardId = 'shardId-0', name = 'arn') =>
    subscriptions.claim({ consumer: { ...consumer, arn: name }, shardId });
  return { time, subscriptions, removal, claim };
}

const IN_USE = 'Another active subscription exists for this consumer: 000000000000:s:shardId-0:c';

test('a second one is refused for five seconds and takes over then', () => {
  const { time, claim, subscriptions } = rig();
  const first = claim();
  time.nowMs += 4_999;
  expect(() => claim()).toThrow(IN_USE);
  expect(first.signal.aborted).toBe(false);
  time.nowMs += 1;
  const second = claim();
  expect([first.signal.aborted, first.failure?.type, first.failure?.message]).toEqual([
    true,
    'ResourceInUseException',
    IN_USE,
  ]);
  // The older one's end does not set the younger one free.
  first.release();
  expect(() => claim()).toThrow(IN_USE);
  second.release();
  expect(subscriptions.count).toBe(0);
  claim();
});

test('other shards and other consumers are nobody’s concern', () => {
  const { claim, subscriptions } = rig();
  for (const one of [claim(), claim('shardId-1'), claim('shardId-0', 'other')])
    expect(one.signal.aborted).toBe(false);
  expect(subscriptions.count).toBe(3);
});

test('it ends with its consumer, and in peace with the server; the first reason counts', () => {
  const { claim, removal, subscriptions } = rig();
  const one = claim();
  removal.abort();
  subscriptions.close();
  expect([one.signal.aborted, one.failure?.type]).toEqual([true, 'ResourceNotFoundException']);
  const late = claim('shardId-1');
  expect(late.signal.aborted).toBe(true);
  const { claim: again, subscriptions: other } = rig();
  const peaceful = again();
  other.close();
  expect([peaceful.signal.aborted, peaceful.failure]).toEqual([true, null]);
  expect(again('shardId-1').signal.aborted).toBe(true);
});
