// Goal: streams and consumers carry policies that decide who may use them. Method: the operations over the store in
// memory, and what the deciding part is told of them.
import { beforeEach, describe, expect, it } from 'vitest';
import { resourceFacts } from '../../server/kinesis/resource-facts.ts';
import { resourceOf } from '../../server/kinesis/resource.ts';
import { KinesisClient, arnOf } from './kinesis-client.ts';

const stream = arnOf('s');
let rig: KinesisClient;
let consumer: string;
beforeEach(async () => {
  rig = await KinesisClient.open();
  await rig.call('CreateStream', { StreamName: 's', ShardCount: 1 });
  const { Consumer } = await rig.call('RegisterStreamConsumer', { StreamARN: stream, ConsumerName: 'c' });
  consumer = (Consumer as { ConsumerARN: string }).ConsumerARN;
});

/** Spaces and all: the text comes back as it was put. */
const policy = (Resource: string, Effect = 'Allow') =>
  JSON.stringify(
    {
      Version: '2012-10-17',
      Statement: [{ Effect, Principal: { AWS: '*' }, Action: 'kinesis:DescribeStreamSummary', Resource }],
    },
    null,
    2,
  );

describe.each(['stream', 'consumer'])('a %s', (kind) => {
  const arn = () => (kind === 'stream' ? stream : consumer);
  const told = () => {
    const { catalog, consumers } = rig.context;
    return resourceFacts(catalog, consumers).policyOf(arn());
  };
  const get = async () => (await rig.call('GetResourcePolicy', { ResourceARN: arn() }))['Policy'];
  const put = (Policy: string) => ({ ResourceARN: arn(), Policy });

  it('has no policy, then one, then another, then none', async () => {
    expect([await get(), told()]).toEqual(['{}', undefined]);
    await rig.call('PutResourcePolicy', put(policy(arn())));
    await rig.call('TagResource', { ResourceARN: arn(), Tags: { a: '1' } });
    expect([await get(), told()]).toEqual([policy(arn()), policy(arn())]);
    await rig.call('PutResourcePolicy', put(policy(arn(), 'Deny')));
    await rig.restart();
    expect([await get(), told()]).toEqual([policy(arn(), 'Deny'), policy(arn(), 'Deny')]);
    await rig.call('DeleteResourcePolicy', { ResourceARN: arn() });
    await rig.restart();
    expect([await get(), told()]).toEqual(['{}', undefined]);
    expect(await rig.refusal('DeleteResourcePolicy', { ResourceARN: arn() })).toMatch(
      /^ResourceNotFoundException/,
    );
    expect((await rig.call('ListTagsForResource', { ResourceARN: arn() }))['Tags']).toHaveLength(1);
  });

  it.each([
    ['', /is no JSON/],
    ['{', /is no JSON/],
    ['[]', /malformed/],
    ['{"Version":"2012-10-17"}', /Statement/],
    [policy('x').replace('Principal', 'Nobody'), /Statement\[0\]/],
    [policy('x'.repeat(20_480)), /at most 20480/],
  ])('refuses %.30s and keeps the one it has', async (text, reason) => {
    await rig.call('PutResourcePolicy', put(policy(arn())));
    const refusal = await rig.refusal('PutResourcePolicy', put(text));
    expect(refusal).toMatch(/^InvalidArgumentException: The policy is malformed: /);
    expect(refusal).toMatch(reason);
    expect(told()).toBe(policy(arn()));
  });

  it('that is not there has none', async () => {
    const ResourceARN = `${arn()}9`;
    for (const [operation, more] of [
      ['GetResourcePolicy', {}],
      ['PutResourcePolicy', { Policy: policy('*') }],
      ['DeleteResourcePolicy', {}],
    ] as const)
      expect(await rig.refusal(operation, { ResourceARN, ...more })).toMatch(/^ResourceNotFoundException/);
  });
});

it('a policy is gone with its stream', async () => {
  await rig.call('PutResourcePolicy', { ResourceARN: stream, Policy: policy(stream) });
  await rig.call('DeleteStream', { StreamARN: stream, EnforceConsumerDeletion: true });
  await rig.call('CreateStream', { StreamName: 's', ShardCount: 1 });
  expect(await rig.call('GetResourcePolicy', { ResourceARN: stream })).toEqual({ Policy: '{}' });
});

it('whoever goes on with a listing of shards is asked about its stream', async () => {
  await rig.call('SplitShard', {
    StreamName: 's',
    ShardToSplit: 'shardId-000000000000',
    NewStartingHashKey: String(2n ** 127n),
  });
  const { NextToken } = await rig.call('ListShards', { StreamName: 's', MaxResults: 1 });
  expect(resourceOf('ListShards', { NextToken }, rig.context)).toBe(stream);
});
