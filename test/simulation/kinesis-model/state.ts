// The service as a user thinks of it: streams, shards with lists of records, consumers. No blocks, no positions, no disk.

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
export const HASH_KEYS = 2n ** 128n;
const ACCOUNT_ARN = 'arn:aws:kinesis:us-east-1:000000000000';

export type Json = Readonly<Record<string, unknown>>;

/** Compares an answer with what the model says it is, and takes from it what only the service can know. */
export type Check = (answer: Json) => void;

/** What the model says to a request. Throws Refused. */
export type Operation = (model: Model, input: Json) => Check;

/** What the service is to refuse, by the name of the error. */
export class Refused extends Error {
  readonly type: string;

  constructor(type: string) {
    super(type);
    this.type = type;
  }
}

export interface ModelRecord {
  readonly PartitionKey: string;
  /** Base64. */
  readonly Data: string;
  readonly atMs: number;
  readonly number: string;
  readonly isEncrypted: boolean;
}

export interface ModelShard {
  readonly index: number;
  readonly start: bigint;
  readonly end: bigint;
  readonly parents: readonly number[];
  readonly createdAtMs: number;
  closedAtMs: number | null;
  /** All there ever were; those before `kept` have expired. */
  readonly records: ModelRecord[];
  kept: number;
}

/** Of a stream or a consumer. */
export interface ModelResource {
  readonly tags: Map<string, string>;
  policy: string | null;
}

export interface ModelConsumer extends ModelResource {
  readonly name: string;
  readonly arn: string;
}

export interface ModelStream extends ModelResource {
  readonly name: string;
  readonly createdAtMs: number;
  mode: string;
  keyId: string | null;
  hours: number;
  /** Nothing older is there. */
  oldestMs: number;
  readonly metrics: Set<string>;
  readonly consumers: Map<string, ModelConsumer>;
  /** Those that have not expired, by index. */
  readonly shards: Map<number, ModelShard>;
  nextIndex: number;
  /** When it was resized, and when it changed its mode. */
  readonly resizedAtMs: number[];
  readonly modeAtMs: number[];
}

/** Where an iterator goes on. */
export interface ModelCursor {
  readonly stream: ModelStream;
  readonly shard: ModelShard;
  /** Index into the shard's records. */
  readonly place: number;
  readonly madeAtMs: number;
}

export class Model {
  nowMs: number;
  readonly streams = new Map<string, ModelStream>();
  readonly cursors = new Map<string, ModelCursor>();

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  passMs(ms: number): void {
    this.nowMs += ms;
    this.expire();
  }

  /** What has expired once never comes back. */
  expire(): void {
    for (const stream of this.streams.values()) {
      stream.oldestMs = Math.max(stream.oldestMs, this.nowMs - stream.hours * HOUR_MS);
      for (const shard of stream.shards.values()) {
        while ((shard.records[shard.kept]?.atMs ?? Infinity) < stream.oldestMs) shard.kept += 1;
        if ((shard.closedAtMs ?? Infinity) < stream.oldestMs) stream.shards.delete(shard.index);
      }
    }
  }

  stream({ StreamName, StreamARN }: Json): ModelStream {
    const name = typeof StreamName === 'string' ? StreamName : String(StreamARN).split('/')[1];
    const stream = this.streams.get(name ?? '');
    if (stream === undefined) throw new Refused('ResourceNotFoundException');
    return stream;
  }

  /** Of a stream's or a consumer's ARN. */
  resource(arn: string): ModelResource {
    const stream = this.stream({ StreamARN: arn });
    if (!arn.includes('/consumer/')) return stream;
    const found = [...stream.consumers.values()].find((consumer) => consumer.arn === arn);
    if (found === undefined) throw new Refused('ResourceNotFoundException');
    return found;
  }

  addShard(stream: ModelStream, start: bigint, end: bigint, parents: readonly number[] = []): ModelShard {
    const index = stream.nextIndex++;
    const life = { createdAtMs: this.nowMs, closedAtMs: null, records: [], kept: 0 };
    const shard: ModelShard = { index, start, end, parents, ...life };
    stream.shards.set(index, shard);
    return shard;
  }

  /** Refused when it happened as often as it may within a day. */
  checkDaily(atMs: readonly number[], most: number): void {
    if (atMs.filter((ms) => this.nowMs - ms < DAY_MS).length >= most)
      throw new Refused('LimitExceededException');
  }
}

export const arnOf = (stream: string): string => `${ACCOUNT_ARN}:stream/${stream}`;

export const idOf = (index: number): string => `shardId-${String(index).padStart(12, '0')}`;

export function openShards(stream: ModelStream): ModelShard[] {
  return [...stream.shards.values()]
    .filter(({ closedAtMs }) => closedAtMs === null)
    .toSorted((a, b) => (a.start < b.start ? -1 : 1));
}

/** In the service's order. */
export const METRICS = [
  'IncomingBytes',
  'IncomingRecords',
  'OutgoingBytes',
  'OutgoingRecords',
  'WriteProvisionedThroughputExceeded',
  'ReadProvisionedThroughputExceeded',
  'IteratorAgeMilliseconds',
];

export const metricsOf = ({ metrics }: ModelStream): string[] =>
  METRICS.filter((metric) => metrics.has(metric));

export function describeHead(stream: ModelStream): object {
  return {
    StreamName: stream.name,
    StreamARN: arnOf(stream.name),
    StreamStatus: 'ACTIVE',
    StreamModeDetails: { StreamMode: stream.mode },
    RetentionPeriodHours: stream.hours,
    StreamCreationTimestamp: stream.createdAtMs / 1000,
    EnhancedMonitoring: [{ ShardLevelMetrics: metricsOf(stream) }],
    ...(stream.keyId === null ? { EncryptionType: 'NONE' } : { EncryptionType: 'KMS', KeyId: stream.keyId }),
  };
}
