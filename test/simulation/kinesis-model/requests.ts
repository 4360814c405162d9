// Random requests: mostly such as can succeed, some that cannot.
import { HASH_KEYS, arnOf, idOf } from './state.ts';
import type { Json, Model, ModelRecord } from './state.ts';

const STREAMS = ['alpha', 'beta', 'gamma'];
const CONSUMERS = ['one', 'two', 'three'];
const TAG_KEYS = ['room', 'floor', 'Owner'];
const HOURS = [23, 24, 24, 30, 48, 100, 8_760, 8_761];
const METRICS = ['ALL', 'IncomingBytes', 'OutgoingRecords', 'IteratorAgeMilliseconds'];
const FILTERS = [
  'AT_LATEST',
  'AT_TRIM_HORIZON',
  'FROM_TRIM_HORIZON',
  'AFTER_SHARD_ID',
  'AT_TIMESTAMP',
  'FROM_TIMESTAMP',
];
const ITERATORS = ['TRIM_HORIZON', 'LATEST', 'AT_TIMESTAMP', 'AT_SEQUENCE_NUMBER', 'AFTER_SEQUENCE_NUMBER'];
const KEYS = ['alias/aws/kinesis', 'alias/aws/kinesis', 'alias/none'];
const POLICY = {
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', Principal: '*', Action: 'kinesis:PutRecord', Resource: '*' }],
};
/** How often an operation comes, as against others. */
const WEIGHT = 2;
const WEIGHTS: Readonly<Record<string, number>> = {
  PutRecord: 20,
  PutRecords: 20,
  GetShardIterator: 25,
  GetRecords: 45,
  CreateStream: 6,
  DeleteStream: 1,
  SplitShard: 4,
  MergeShards: 6,
  UpdateShardCount: 3,
  ListShards: 6,
  IncreaseStreamRetentionPeriod: 3,
  DecreaseStreamRetentionPeriod: 3,
};
const RECENT_ITERATORS = 12;

export class Requests {
  readonly #random: () => number;
  readonly #model: Model;
  readonly #makers: readonly (readonly [string, () => Json])[];

  constructor(random: () => number, model: Model) {
    this.#random = random;
    this.#model = model;
    this.#makers = Object.entries(this.#inputs()).flatMap((maker) =>
      Array.from({ length: WEIGHTS[maker[0]] ?? WEIGHT }, () => maker),
    );
  }

  next(): { readonly name: string; readonly input: Json } {
    const [name, input] = this.#one(this.#makers);
    return { name, input: input() };
  }

  #one<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#random() * choices.length)] as T;
  }

  #upTo(most: number): number {
    return 1 + Math.floor(this.#random() * most);
  }

  /** By name, by ARN, or by both. */
  #stream(): Json {
    const StreamName = this.#one(STREAMS);
    const StreamARN = arnOf(StreamName);
    return this.#one<Json>([{ StreamName }, { StreamARN }, { StreamName, StreamARN }]);
  }

  #named(): Json {
    return { StreamARN: arnOf(this.#one(STREAMS)) };
  }

  #shards(): { index: number; records: readonly ModelRecord[] }[] {
    return [...this.#model.streams.values()].flatMap(({ shards }) => [...shards.values()]);
  }

  #shardId(): string {
    return idOf(this.#one(this.#shards())?.index ?? 0);
  }

  /** A stream that is there with a shard of it, most of the time. */
  #place(): { StreamName: string; ShardId: string; records: readonly ModelRecord[] } {
    const stream = this.#one([...this.#model.streams.values()]);
    const shard = stream === undefined ? undefined : this.#one([...stream.shards.values()]);
    if (stream === undefined || shard === undefined || this.#random() < 0.05)
      return { StreamName: this.#one(STREAMS), ShardId: this.#shardId(), records: [] };
    return { StreamName: stream.name, ShardId: idOf(shard.index), records: shard.records };
  }

  #entry(): Json {
    const Data = Buffer.from(`r${Math.floor(this.#random() * 1e9)}`).toString('base64');
    const ExplicitHashKey = this.#hashKey();
    return {
      Data,
      PartitionKey: `k${this.#upTo(8)}`,
      ...(this.#random() < 0.3 ? { ExplicitHashKey } : {}),
    };
  }

  #hashKey(): string {
    return String((HASH_KEYS / 1_000_000n) * BigInt(Math.floor(this.#random() * 1_000_000)));
  }

  /** Seconds, at most a little in the future. */
  #timestamp(): number {
    const backMs = this.#one([0, 1, 60_000, 3_600_000, 30 * 3_600_000]) * this.#random() - 1;
    return Math.round(this.#model.nowMs - backMs) / 1000;
  }

  #resource(): Json {
    const streams = [...this.#model.streams.values()];
    const arns = streams.flatMap(({ consumers }) => [...consumers.values()].map(({ arn }) => arn));
    return { ResourceARN: this.#one([...STREAMS.map(arnOf), ...arns, ...arns]) };
  }

  #tags(): Json {
    return Object.fromEntries([[this.#one(TAG_KEYS), `v${this.#upTo(3)}`]]);
  }

  #iterator(): Json {
    const { records, ...shard } = this.#place();
    const ShardIteratorType = this.#one(ITERATORS);
    if (ShardIteratorType === 'AT_TIMESTAMP')
      return { ...shard, ShardIteratorType, Timestamp: this.#timestamp() };
    if (!ShardIteratorType.endsWith('NUMBER')) return { ...shard, ShardIteratorType };
    // Now and then one of another shard. Nothing tells numbers of different streams apart.
    const others = [...(this.#model.streams.get(shard.StreamName)?.shards.values() ?? [])];
    const some = this.#random() < 0.1 ? others.flatMap((other) => other.records) : records;
    const number = this.#one(some)?.number ?? '1';
    return { ...shard, ShardIteratorType, StartingSequenceNumber: number };
  }

  #filter(): Json {
    const Type = this.#one(FILTERS);
    if (Type === 'AFTER_SHARD_ID') return { Type, ShardId: this.#shardId() };
    return Type.includes('TIMESTAMP') ? { Type, Timestamp: this.#timestamp() } : { Type };
  }

  #split(): Json {
    const { StreamName, ShardId } = this.#place();
    const shard = [...(this.#model.streams.get(StreamName)?.shards.values() ?? [])].find(
      ({ index }) => idOf(index) === ShardId,
    );
    const middle = shard === undefined ? 0n : (shard.start + shard.end) / 2n;
    const at = this.#random() < 0.8 ? String(middle) : this.#hashKey();
    return { StreamName, ShardToSplit: ShardId, NewStartingHashKey: at };
  }

  #merge(): Json {
    const { StreamName, ShardId } = this.#place();
    const shards = [...(this.#model.streams.get(StreamName)?.shards.values() ?? [])];
    const one = shards.find(({ index }) => idOf(index) === ShardId);
    const beside = shards.find(
      ({ start, closedAtMs }) => closedAtMs === null && one !== undefined && start === one.end + 1n,
    );
    const other = beside === undefined ? this.#shardId() : idOf(beside.index);
    const pair = this.#random() < 0.5 ? [ShardId, other] : [other, ShardId];
    return { StreamName, ShardToMerge: pair[0], AdjacentShardToMerge: pair[1] };
  }

  #metrics(): Json {
    return { ...this.#stream(), ShardLevelMetrics: [this.#one(METRICS)] };
  }

  #consumer(): Json {
    return { ...this.#named(), ConsumerName: this.#one(CONSUMERS) };
  }

  #retention(): Json {
    return { ...this.#stream(), RetentionPeriodHours: this.#one(HOURS) };
  }

  #knownIterator(): string {
    const known = [...this.#model.cursors.keys()];
    const some = this.#random() < 0.9 ? known.slice(-RECENT_ITERATORS) : known;
    return some.length === 0 ? 'AAAA' : this.#one(some);
  }

  #creation(): Json {
    const how = this.#one<Json>([
      { ShardCount: this.#upTo(4) },
      { ShardCount: this.#upTo(4), Tags: this.#tags() },
      { StreamModeDetails: { StreamMode: 'ON_DEMAND' } },
    ]);
    return { StreamName: this.#one(STREAMS), ...how };
  }

  #page(whole: Json, ...pages: Json[]): Json {
    return { ...whole, ...this.#one([{}, ...pages]) };
  }

  /** How the input of each operation is made. */
  #inputs(): Record<string, () => Json> {
    const stream = () => this.#stream();
    const resource = () => this.#resource();
    const metrics = () => this.#metrics();
    const consumer = () => this.#consumer();
    const retention = () => this.#retention();
    const encryption = () => ({ ...stream(), EncryptionType: 'KMS', KeyId: this.#one(KEYS) });
    return {
      CreateStream: () => this.#creation(),
      DeleteStream: () => ({ ...stream(), EnforceConsumerDeletion: this.#random() < 0.5 }),
      DescribeStream: () =>
        this.#page(stream(), { Limit: this.#upTo(5) }, { ExclusiveStartShardId: this.#shardId() }),
      DescribeStreamSummary: stream,
      ListStreams: () => ({
        Limit: this.#upTo(3),
        ExclusiveStartStreamName: this.#one(['a', ...STREAMS]),
      }),
      ListShards: () => this.#page(stream(), { MaxResults: this.#upTo(5) }, { ShardFilter: this.#filter() }),
      DescribeLimits: () => ({}),
      PutRecord: () => ({ ...stream(), ...this.#entry() }),
      PutRecords: () => ({
        ...stream(),
        Records: Array.from({ length: this.#upTo(8) }, () => this.#entry()),
      }),
      GetShardIterator: () => this.#iterator(),
      GetRecords: () => ({
        ShardIterator: this.#knownIterator(),
        Limit: this.#one([1, 3, 10, 10_000]),
      }),
      SplitShard: () => this.#split(),
      MergeShards: () => this.#merge(),
      UpdateShardCount: () => ({
        ...stream(),
        TargetShardCount: this.#upTo(7),
        ScalingType: 'UNIFORM_SCALING',
      }),
      UpdateStreamMode: () => ({
        ...this.#named(),
        StreamModeDetails: { StreamMode: this.#one(['ON_DEMAND', 'PROVISIONED', 'PROVISIONED']) },
      }),
      StartStreamEncryption: encryption,
      StopStreamEncryption: encryption,
      IncreaseStreamRetentionPeriod: retention,
      DecreaseStreamRetentionPeriod: retention,
      EnableEnhancedMonitoring: metrics,
      DisableEnhancedMonitoring: metrics,
      AddTagsToStream: () => ({ ...stream(), Tags: this.#tags() }),
      RemoveTagsFromStream: () => ({ ...stream(), TagKeys: [this.#one(TAG_KEYS)] }),
      ListTagsForStream: () =>
        this.#page(
          { ...stream(), Limit: 50 },
          { Limit: this.#upTo(3) },
          { ExclusiveStartTagKey: this.#one(TAG_KEYS) },
        ),
      TagResource: () => ({ ...resource(), Tags: this.#tags() }),
      UntagResource: () => ({ ...resource(), TagKeys: [this.#one(TAG_KEYS)] }),
      ListTagsForResource: resource,
      PutResourcePolicy: () => ({
        ...resource(),
        Policy: JSON.stringify(POLICY, null, this.#upTo(4)),
      }),
      GetResourcePolicy: resource,
      DeleteResourcePolicy: resource,
      RegisterStreamConsumer: consumer,
      DeregisterStreamConsumer: consumer,
      DescribeStreamConsumer: consumer,
      ListStreamConsumers: () => ({ ...this.#named(), MaxResults: this.#upTo(3) }),
    };
  }
}
