// Goal: streams and consumers carry tags by the service's rules, whichever operation is used. Method: the operations over
// the store in memory.
import { beforeEach, describe, expect, it } from 'vitest';
import { KinesisClient, arnOf } from './kinesis-client.ts';

let rig: KinesisClient;
let consumer: string;
const stream = arnOf('s');
beforeEach(async () => {
  rig = await KinesisClient.open();
  await rig.call('CreateStream', { StreamName: 's', ShardCount: 1, Tags: { b: '2' } });
  const input = { StreamARN: stream, ConsumerName: 'c', Tags: { b: '2' } };
  const { Consumer } = await rig.call('RegisterStreamConsumer', input);
  consumer = (Consumer as { ConsumerARN: string }).ConsumerARN;
});

const numbered = (count: number, from = 0) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`key${n + from}`, '']));

describe.each(['stream', 'consumer'])('a %s', (kind) => {
  const arn = () => (kind === 'stream' ? stream : consumer);
  const tags = async () => (await rig.call('ListTagsForResource', { ResourceARN: arn() }))['Tags'];
  const tag = (more: object) => rig.call('TagResource', { ResourceARN: arn(), Tags: more });

  it('gets tags, new values and loses them, sorted by key', async () => {
    await tag({ c: '3', a: '', b: 'new', 'A b_.:/=+-@é': '1', ['__proto__']: 'p' });
    expect(await tags()).toEqual([
      { Key: 'A b_.:/=+-@é', Value: '1' },
      { Key: '__proto__', Value: 'p' },
      { Key: 'a', Value: '' },
      { Key: 'b', Value: 'new' },
      { Key: 'c', Value: '3' },
    ]);
    await rig.call('UntagResource', { ResourceARN: arn(), TagKeys: ['a', 'b', 'none', '__proto__'] });
    await rig.restart();
    expect(await tags()).toEqual([
      { Key: 'A b_.:/=+-@é', Value: '1' },
      { Key: 'c', Value: '3' },
    ]);
  });

  it('has at most 50, and refuses what no tag may be, all or nothing', async () => {
    await tag(numbered(49));
    for (const bad of [
      { more: '' },
      { key1: 'x', more: '' },
      { 'aws:x': '' },
      { 'AWS:x': '' },
      { 'a!': '' },
      { key0: 'a\n!' },
    ])
      expect(await rig.refusal('TagResource', { ResourceARN: arn(), Tags: bad })).toMatch(
        /^InvalidArgumentException/,
      );
    await tag({ key1: 'x' });
    expect(((await tags()) as unknown[]).length).toBe(50);
  });

  it('that is not there has none', async () => {
    const gone = `${arn()}9`;
    const foreign = arn().replace('000000000000', '000000000001');
    for (const ResourceARN of [gone, foreign]) {
      for (const [operation, more] of [
        ['ListTagsForResource', {}],
        ['TagResource', { Tags: { a: '' } }],
        ['UntagResource', { TagKeys: ['b'] }],
      ] as const)
        expect(await rig.refusal(operation, { ResourceARN, ...more })).toMatch(/^ResourceNotFoundException/);
    }
    expect(await tags()).toEqual([{ Key: 'b', Value: '2' }]);
  });
});

describe('the operations for streams', () => {
  it('share the tags with those for resources', async () => {
    await rig.call('AddTagsToStream', { StreamName: 's', Tags: { a: '1' } });
    await rig.call('TagResource', { ResourceARN: stream, Tags: { c: '3' } });
    await rig.call('RemoveTagsFromStream', { StreamARN: stream, TagKeys: ['b'] });
    const Tags = [
      { Key: 'a', Value: '1' },
      { Key: 'c', Value: '3' },
    ];
    expect(await rig.call('ListTagsForStream', { StreamName: 's' })).toEqual({ Tags, HasMoreTags: false });
    expect(await rig.call('ListTagsForResource', { ResourceARN: stream })).toEqual({ Tags });
  });

  it('list a page at a time', async () => {
    await rig.call('AddTagsToStream', { StreamName: 's', Tags: { a: '1', c: '3' } });
    const page = { StreamName: 's', Limit: 2 };
    expect(await rig.call('ListTagsForStream', page)).toMatchObject({
      Tags: [{ Key: 'a' }, { Key: 'b' }],
      HasMoreTags: true,
    });
    expect(await rig.call('ListTagsForStream', { ...page, ExclusiveStartTagKey: 'b' })).toMatchObject({
      Tags: [{ Key: 'c' }],
      HasMoreTags: false,
    });
  });

  it.each(['AddTagsToStream', 'RemoveTagsFromStream', 'ListTagsForStream'])(
    '%s needs a stream',
    async (operation) => {
      const more = { Tags: { a: '' }, TagKeys: ['a'] };
      expect(await rig.refusal(operation, { StreamName: 'none', ...more })).toBe(
        'ResourceNotFoundException: Stream none under account 000000000000 not found.',
      );
    },
  );
});

it('changes that come together all hold', async () => {
  const calls = Array.from({ length: 10 }, (_, n) => [
    rig.call('TagResource', { ResourceARN: consumer, Tags: { [`k${n}`]: '' } }),
    rig.call('TagResource', { ResourceARN: stream, Tags: { [`k${n}`]: '' } }),
  ]);
  await Promise.all(calls.flat());
  for (const ResourceARN of [stream, consumer])
    expect(((await rig.call('ListTagsForResource', { ResourceARN }))['Tags'] as unknown[]).length).toBe(11);
});
