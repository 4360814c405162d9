// What the service did, by the names that CloudWatch gives it (Kinesis Data Streams Developer Guide, monitoring with
// CloudWatch), in the spelling of Prometheus: GetRecords.IteratorAgeMilliseconds is
// kinesis_get_records_iterator_age_milliseconds. Single shards only where their owner enabled the metric.
import type { MetricsRegistry } from '../../runtime/metrics.ts';
import { shardIdOf } from '../../stream/shard-map.ts';
import type { ShardMetric } from './shard-metric-names.ts';
import type { StreamRow } from './stream-row.ts';

/** Milliseconds. */
const LATENCY_BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

type Counted = Pick<StreamRow, 'name' | 'shardMetrics'>;

export interface Moved {
  readonly records: number;
  /** Of data and partition keys. */
  readonly bytes: number;
}

export interface Delivered extends Moved {
  /** Now minus the arrival of the last record; 0 when there is nothing more. */
  readonly ageMs: number;
}

export interface PutResults {
  readonly records: number;
  readonly failed: number;
  readonly throttled: number;
}

const TIMED_CALLS = {
  GetRecords: 'get_records',
  PutRecord: 'put_record',
  PutRecords: 'put_records',
} as const;
export type TimedCall = keyof typeof TIMED_CALLS;

export function isTimed(operation: string): operation is TimedCall {
  return Object.hasOwn(TIMED_CALLS, operation);
}

export interface Traffic {
  /** Records are durable, whoever wrote them. */
  stored(row: Counted, shard: number, moved: Moved): void;
  /** GetRecords. */
  read(row: Counted, shard: number, delivered: Delivered): void;
  /** One event of SubscribeToShard. */
  pushed(row: Counted, shard: number, consumer: string, delivered: Delivered): void;
  /** A record or a read that the limits of a shard refused. */
  throttled(kind: 'write' | 'read', row: Counted, shard: number): void;
  called(call: TimedCall, stream: string, latencyMs: number, isSuccess: boolean): void;
  put(call: 'PutRecord' | 'PutRecords', stream: string, bytes: number, results: PutResults): void;
  subscribed(stream: string, consumer: string, outcome: 'success' | 'rate_exceeded'): void;
}

export function openTraffic(metrics: MetricsRegistry): Traffic {
  const stream = streamSeries(metrics);
  const shards = shardSeries(metrics);
  const timed = timedSeries(metrics);
  const consumer = consumerSeries(metrics);
  return {
    stored: (row, shard, { records, bytes }) => {
      stream.incomingRecords.add(records, { stream: row.name });
      stream.incomingBytes.add(bytes, { stream: row.name });
      shards(row, shard, 'IncomingRecords', records);
      shards(row, shard, 'IncomingBytes', bytes);
    },
    read: (row, shard, delivered) => {
      stream.getRecords.add(delivered.records, { stream: row.name });
      stream.getBytes.add(delivered.bytes, { stream: row.name });
      stream.getAge.set(delivered.ageMs, { stream: row.name });
      outgoing(shards, row, shard, delivered);
    },
    pushed: (row, shard, name, delivered) => {
      const labels = { stream: row.name, consumer: name };
      consumer.events.add(1, labels);
      consumer.records.add(delivered.records, labels);
      consumer.bytes.add(delivered.bytes, labels);
      consumer.behind.set(delivered.ageMs, labels);
      outgoing(shards, row, shard, delivered);
    },
    throttled: (kind, row, shard) => {
      const isRead = kind === 'read';
      (isRead ? stream.readExceeded : stream.writeExceeded).add(1, { stream: row.name });
      shards(
        row,
        shard,
        isRead ? 'ReadProvisionedThroughputExceeded' : 'WriteProvisionedThroughputExceeded',
        1,
      );
    },
    called: (call, name, latencyMs, isSuccess) => {
      timed[call].latency.observe(latencyMs, { stream: name });
      if (isSuccess) timed[call].success.add(1, { stream: name });
    },
    put: (call, name, bytes, { records, failed, throttled }) => {
      const labels = { stream: name };
      timed[call].bytes.add(bytes, labels);
      if (call === 'PutRecord') return;
      stream.putTotal.add(records, labels);
      stream.putSuccessful.add(records - failed - throttled, labels);
      stream.putFailed.add(failed, labels);
      stream.putThrottled.add(throttled, labels);
    },
    subscribed: (name, consumerName, outcome) => {
      (outcome === 'success' ? consumer.success : consumer.rateExceeded).add(1, {
        stream: name,
        consumer: consumerName,
      });
    },
  };
}

function streamSeries(metrics: MetricsRegistry) {
  const counter = (name: string, help: string) => metrics.counter(`kinesis_${name}_total`, help);
  return {
    incomingRecords: counter('incoming_records', 'Records stored'),
    incomingBytes: counter('incoming_bytes', 'Bytes of data and keys stored'),
    getRecords: counter('get_records_records', 'Records that GetRecords returned'),
    getBytes: counter('get_records_bytes', 'Bytes that GetRecords returned'),
    getAge: metrics.gauge(
      'kinesis_get_records_iterator_age_milliseconds',
      'Age of the last record that the last GetRecords returned; 0 when the reader is at the tip',
    ),
    putTotal: counter('put_records_total_records', 'Records sent in PutRecords'),
    putSuccessful: counter('put_records_successful_records', 'Records of PutRecords that were stored'),
    putFailed: counter('put_records_failed_records', 'Records of PutRecords that failed inside the service'),
    putThrottled: counter('put_records_throttled_records', 'Records of PutRecords that limits refused'),
    readExceeded: counter('read_provisioned_throughput_exceeded', 'GetRecords calls that limits refused'),
    writeExceeded: counter('write_provisioned_throughput_exceeded', 'Records that limits refused'),
  };
}

function timedSeries(metrics: MetricsRegistry) {
  const of = (call: TimedCall) => {
    const name = `kinesis_${TIMED_CALLS[call]}`;
    return {
      latency: metrics.histogram(`${name}_latency_milliseconds`, `Time that ${call} takes`, LATENCY_BOUNDS),
      success: metrics.counter(`${name}_success_total`, `${call} calls that succeeded`),
      bytes: metrics.counter(`${name}_bytes_total`, `Bytes of ${call}`),
    };
  };
  return { GetRecords: of('GetRecords'), PutRecord: of('PutRecord'), PutRecords: of('PutRecords') };
}

function consumerSeries(metrics: MetricsRegistry) {
  const counter = (name: string, help: string) =>
    metrics.counter(`kinesis_subscribe_to_shard_${name}_total`, help);
  return {
    success: counter('success', 'Subscriptions that began'),
    rateExceeded: counter('rate_exceeded', 'Subscriptions refused because another one is active'),
    events: counter('event_success', 'Events pushed'),
    records: counter('event_records', 'Records pushed'),
    bytes: counter('event_bytes', 'Bytes pushed'),
    behind: metrics.gauge(
      'kinesis_subscribe_to_shard_event_millis_behind_latest',
      'How far the consumer is behind, milliseconds',
    ),
  };
}

type ShardSeries = (row: Counted, shard: number, metric: ShardMetric, value: number) => void;

function shardSeries(metrics: MetricsRegistry): ShardSeries {
  const counters = {
    IncomingBytes: metrics.counter('kinesis_shard_incoming_bytes_total', 'Bytes stored in the shard'),
    IncomingRecords: metrics.counter('kinesis_shard_incoming_records_total', 'Records stored in the shard'),
    OutgoingBytes: metrics.counter('kinesis_shard_outgoing_bytes_total', 'Bytes read of the shard'),
    OutgoingRecords: metrics.counter('kinesis_shard_outgoing_records_total', 'Records read of the shard'),
    WriteProvisionedThroughputExceeded: metrics.counter(
      'kinesis_shard_write_provisioned_throughput_exceeded_total',
      'Records that the limits of the shard refused',
    ),
    ReadProvisionedThroughputExceeded: metrics.counter(
      'kinesis_shard_read_provisioned_throughput_exceeded_total',
      'GetRecords calls that the limits of the shard refused',
    ),
  };
  const age = metrics.gauge(
    'kinesis_shard_iterator_age_milliseconds',
    'Age of the last record that was read of the shard',
  );
  return (row, shard, metric, value) => {
    if (row.shardMetrics?.includes(metric) !== true) return;
    const labels = { stream: row.name, shard: shardIdOf(shard) };
    if (metric === 'IteratorAgeMilliseconds') age.set(value, labels);
    else counters[metric].add(value, labels);
  };
}

function outgoing(
  shards: ShardSeries,
  row: Counted,
  shard: number,
  { records, bytes, ageMs }: Delivered,
): void {
  shards(row, shard, 'OutgoingRecords', records);
  shards(row, shard, 'OutgoingBytes', bytes);
  shards(row, shard, 'IteratorAgeMilliseconds', ageMs);
}
