// What the model says of streams, their tags, consumers, policies and settings.
import { expect } from 'vitest';
import { HASH_KEYS, METRICS, Refused, arnOf, describeHead, metricsOf, openShards } from './state.ts';
import type { Check, Json, Model, ModelResource, ModelStream, Operation } from './state.ts';

const ON_DEMAND_SHARDS = 4;
/** Retention of a new stream. */
const HOURS = 24;
const HOURS_MAX = 8_760;
const BUILT_IN_KEY = 'alias/aws/kinesis';

const says =
  (expected: unknown): Check =>
  (answer) =>
    expect(answer).toEqual(expected);

const tagList = ({ tags }: ModelResource): object[] =>
  [...tags].map(([Key, Value]) => ({ Key, Value })).toSorted((a, b) => (a.Key < b.Key ? -1 : 1));

function addTags({ tags }: ModelResource, added: unknown): Check {
  for (const [key, value] of Object.entries(added as Record<string, string>)) tags.set(key, value);
  return says({});
}

function removeTags({ tags }: ModelResource, keys: unknown): Check {
  for (const key of keys as string[]) tags.delete(key);
  return says({});
}

function changeMetrics(model: Model, input: Json, isOn: boolean): Check {
  const stream = model.stream(input);
  const names = input['ShardLevelMetrics'] as string[];
  const CurrentShardLevelMetrics = metricsOf(stream);
  for (const metric of METRICS.filter((one) => names.includes('ALL') || names.includes(one))) {
    if (isOn) stream.metrics.add(metric);
    else stream.metrics.delete(metric);
  }
  const DesiredShardLevelMetrics = metricsOf(stream);
  const { name: StreamName } = stream;
  return says({
    StreamName,
    StreamARN: arnOf(StreamName),
    CurrentShardLevelMetrics,
    DesiredShardLevelMetrics,
  });
}

function changeRetention(model: Model, input: Json, isUp: boolean): Check {
  const hours = Number(input['RetentionPeriodHours']);
  if (hours < HOURS || hours > HOURS_MAX) throw new Refused('InvalidArgumentException');
  const stream = model.stream(input);
  if (isUp ? hours < stream.hours : hours > stream.hours) throw new Refused('InvalidArgumentException');
  stream.hours = hours;
  model.expire();
  return says({});
}

function describeConsumer(stream: ModelStream, name: string): object {
  return {
    ConsumerName: name,
    ConsumerARN: stream.consumers.get(name)?.arn,
    ConsumerStatus: 'ACTIVE',
    ConsumerCreationTimestamp: expect.any(Number) as unknown,
  };
}

function consumerNamed(model: Model, input: Json): { stream: ModelStream; name: string } {
  const stream = model.stream(input);
  const name = String(input['ConsumerName']);
  if (!stream.consumers.has(name)) throw new Refused('ResourceNotFoundException');
  return { stream, name };
}

export const CONTROL: Readonly<Record<string, Operation>> = {
  CreateStream: (model, { StreamName, ShardCount, StreamModeDetails, Tags = {} }) => {
    const name = String(StreamName);
    if (model.streams.has(name)) throw new Refused('ResourceInUseException');
    const mode = (StreamModeDetails as { StreamMode: string } | undefined)?.StreamMode ?? 'PROVISIONED';
    const stream: ModelStream = {
      name,
      mode,
      keyId: null,
      createdAtMs: model.nowMs,
      hours: HOURS,
      oldestMs: model.nowMs,
      tags: new Map(Object.entries(Tags as Record<string, string>)),
      policy: null,
      metrics: new Set(),
      consumers: new Map(),
      shards: new Map(),
      nextIndex: 0,
      resizedAtMs: [],
      modeAtMs: [],
    };
    model.streams.set(name, stream);
    const count = BigInt(mode === 'ON_DEMAND' ? ON_DEMAND_SHARDS : Number(ShardCount));
    for (let place = 0n; place < count; place += 1n) {
      const width = HASH_KEYS / count;
      const end = place === count - 1n ? HASH_KEYS - 1n : (place + 1n) * width - 1n;
      model.addShard(stream, place * width, end);
    }
    return says({});
  },

  DeleteStream: (model, input) => {
    const stream = model.stream(input);
    if (stream.consumers.size > 0 && input['EnforceConsumerDeletion'] !== true)
      throw new Refused('ResourceInUseException');
    model.streams.delete(stream.name);
    return says({});
  },

  DescribeStreamSummary: (model, input) => {
    const stream = model.stream(input);
    const counts = { OpenShardCount: openShards(stream).length, ConsumerCount: stream.consumers.size };
    const summary = { ...describeHead(stream), ...counts, MaxRecordSizeInKiB: 1024 };
    return says({ StreamDescriptionSummary: summary });
  },

  ListStreams: (model, { Limit, ExclusiveStartStreamName = '' }) => {
    const names = [...model.streams.keys()]
      .toSorted()
      .filter((name) => name > String(ExclusiveStartStreamName));
    const StreamNames = names.slice(0, Number(Limit));
    const HasMoreStreams = StreamNames.length < names.length;
    return (answer) => {
      expect(answer).toMatchObject({ StreamNames, HasMoreStreams });
      expect(answer['NextToken'] !== undefined).toBe(HasMoreStreams);
    };
  },

  DescribeLimits: (model) => {
    const streams = [...model.streams.values()];
    return (answer) =>
      expect(answer).toMatchObject({
        OpenShardCount: streams.reduce((sum, stream) => sum + openShards(stream).length, 0),
        OnDemandStreamCount: streams.filter(({ mode }) => mode === 'ON_DEMAND').length,
      });
  },

  UpdateStreamMode: (model, input) => {
    const stream = model.stream(input);
    const mode = (input['StreamModeDetails'] as { StreamMode: string }).StreamMode;
    if (mode === stream.mode) return says({});
    model.checkDaily(stream.modeAtMs, 2);
    stream.modeAtMs.push(model.nowMs);
    stream.mode = mode;
    return says({});
  },

  StartStreamEncryption: (model, input) => {
    const stream = model.stream(input);
    if (input['KeyId'] !== BUILT_IN_KEY) throw new Refused('KMSNotFoundException');
    stream.keyId = BUILT_IN_KEY;
    return says({});
  },
  StopStreamEncryption: (model, input) => {
    const stream = model.stream(input);
    if (stream.keyId === null || input['KeyId'] !== stream.keyId)
      throw new Refused('InvalidArgumentException');
    stream.keyId = null;
    return says({});
  },

  IncreaseStreamRetentionPeriod: (model, input) => changeRetention(model, input, true),
  DecreaseStreamRetentionPeriod: (model, input) => changeRetention(model, input, false),
  EnableEnhancedMonitoring: (model, input) => changeMetrics(model, input, true),
  DisableEnhancedMonitoring: (model, input) => changeMetrics(model, input, false),

  AddTagsToStream: (model, input) => addTags(model.stream(input), input['Tags']),
  RemoveTagsFromStream: (model, input) => removeTags(model.stream(input), input['TagKeys']),
  ListTagsForStream: (model, input) => {
    const after = (input['ExclusiveStartTagKey'] ?? '') as string;
    const rest = tagList(model.stream(input)).filter((tag) => (tag as { Key: string }).Key > after);
    const Tags = rest.slice(0, Number(input['Limit']));
    return says({ Tags, HasMoreTags: Tags.length < rest.length });
  },
  TagResource: (model, { ResourceARN, Tags }) => addTags(model.resource(String(ResourceARN)), Tags),
  UntagResource: (model, { ResourceARN, TagKeys }) =>
    removeTags(model.resource(String(ResourceARN)), TagKeys),
  ListTagsForResource: (model, { ResourceARN }) =>
    says({ Tags: tagList(model.resource(String(ResourceARN))) }),

  PutResourcePolicy: (model, { ResourceARN, Policy }) => {
    model.resource(String(ResourceARN)).policy = String(Policy);
    return says({});
  },
  GetResourcePolicy: (model, { ResourceARN }) =>
    says({ Policy: model.resource(String(ResourceARN)).policy ?? '{}' }),
  DeleteResourcePolicy: (model, { ResourceARN }) => {
    const resource = model.resource(String(ResourceARN));
    if (resource.policy === null) throw new Refused('ResourceNotFoundException');
    resource.policy = null;
    return says({});
  },

  RegisterStreamConsumer: (model, input) => {
    const stream = model.stream(input);
    const name = String(input['ConsumerName']);
    if (stream.consumers.has(name)) throw new Refused('ResourceInUseException');
    return ({ Consumer }) => {
      const { ConsumerARN: arn } = Consumer as { ConsumerARN: string };
      expect(arn).toMatch(new RegExp(`^${arnOf(stream.name)}/consumer/${name}:\\d+$`));
      stream.consumers.set(name, { name, arn, tags: new Map(), policy: null });
      expect(Consumer).toEqual({ ...describeConsumer(stream, name), ConsumerStatus: 'CREATING' });
    };
  },
  DeregisterStreamConsumer: (model, input) => {
    const { stream, name } = consumerNamed(model, input);
    stream.consumers.delete(name);
    return says({});
  },
  DescribeStreamConsumer: (model, input) => {
    const { stream, name } = consumerNamed(model, input);
    const StreamARN = arnOf(stream.name);
    return says({ ConsumerDescription: { ...describeConsumer(stream, name), StreamARN } });
  },
  ListStreamConsumers: (model, input) => {
    const stream = model.stream(input);
    const names = [...stream.consumers.keys()].toSorted();
    const page = names.slice(0, Number(input['MaxResults']));
    return (answer) => {
      expect(answer['Consumers']).toEqual(page.map((name) => describeConsumer(stream, name)));
      expect(answer['NextToken'] !== undefined).toBe(page.length < names.length);
    };
  },
};
