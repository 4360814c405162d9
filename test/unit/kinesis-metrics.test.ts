// Goal: what the service did is counted by the names that CloudWatch gives it, and scraped by any Prometheus. Method: the
// operations over the store in memory, then the text of the registry.
import { beforeEach, expect, test } from 'vitest';
import { MetricsRegistry } from '../../runtime/metrics.ts';
import { kinesisService } from '../../server/kinesis/kinesis-service.ts';
import { observeHeat } from '../../server/kinesis/shard-heat.ts';
import { shardLimits } from '../../server/kinesis/shard-limits.ts';
import { ShardMeters } from '../../server/kinesis/shard-meter.ts';
import { openTraffic } from '../../server/kinesis/traffic.ts';
import { JSON_CODEC } from '../../server/wire/json-codec.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import { CALLER, kinesisContext } from '../kinesis-rig.ts';

let nowMs: number;
let metrics: MetricsRegistry;
let call: (name: string, input: object) => Promise<Record<string, unknown>>;

beforeEach(async () => {
  nowMs = 1_800_000_000_000;
  metrics = new MetricsRegistry();
  const clock = { wallMs: () => nowMs, monotonicUs: () => BigInt(nowMs) * 1_000n };
  const rig = await kinesisContext(await openMemoryStore({ clock }), clock);
  const meters = new ShardMeters(shardLimits('aws', { writeRecordsPerSecond: 100 }), () => nowMs);
  observeHeat(metrics, rig.catalog, meters);
  const service = kinesisService({ ...rig, meters, traffic: openTraffic(metrics) });
  call = async (name, input) => {
    const entry = service.operations[name];
    if (entry === undefined || !('handle' in entry)) throw new Error(name);
    const output = await entry.handle(input as Record<string, unknown>, CALLER);
    return JSON.parse(String(JSON_CODEC.write(output ?? {}))) as Record<string, unknown>;
  };
  await call('CreateStream', { StreamName: 's', ShardCount: 1 });
});

const put = (count: number, PartitionKey = 'k') =>
  call('PutRecords', {
    StreamName: 's',
    Records: Array.from({ length: count }, () => ({ PartitionKey, Data: Buffer.alloc(99) })),
  });

function series(name: string): string[] {
  return metrics
    .render()
    .split('\n')
    .filter((line) => line.startsWith(name) && !line.includes('_bucket'));
}

test('puts are counted by what became of each record', async () => {
  await put(80);
  await put(30);
  await call('PutRecord', { StreamName: 's', PartitionKey: 'k', Data: Buffer.alloc(9) }).catch(
    () => undefined,
  );
  expect(series('kinesis_put_records_total_records')).toEqual([
    'kinesis_put_records_total_records_total{stream="s"} 110',
  ]);
  expect(series('kinesis_put_records_successful')).toEqual([
    'kinesis_put_records_successful_records_total{stream="s"} 100',
  ]);
  expect(series('kinesis_put_records_throttled')).toEqual([
    'kinesis_put_records_throttled_records_total{stream="s"} 10',
  ]);
  expect(series('kinesis_incoming')).toEqual([
    'kinesis_incoming_bytes_total{stream="s"} 10000',
    'kinesis_incoming_records_total{stream="s"} 100',
  ]);
  expect(series('kinesis_write_provisioned')).toEqual([
    'kinesis_write_provisioned_throughput_exceeded_total{stream="s"} 11',
  ]);
  expect(series('kinesis_put_record_success')).toEqual([]);
  expect(series('kinesis_put_record_latency_milliseconds_count')).toEqual([
    'kinesis_put_record_latency_milliseconds_count{stream="s"} 1',
  ]);
});

test('the age of what readers get is told, and single shards when that is enabled', async () => {
  await put(10);
  nowMs += 7_000;
  const { ShardIterator } = await call('GetShardIterator', {
    StreamName: 's',
    ShardId: 'shardId-000000000000',
    ShardIteratorType: 'TRIM_HORIZON',
  });
  await call('GetRecords', { ShardIterator });
  expect(series('kinesis_get_records_iterator_age')).toEqual([
    'kinesis_get_records_iterator_age_milliseconds{stream="s"} 7000',
  ]);
  expect(series('kinesis_get_records_records')).toEqual(['kinesis_get_records_records_total{stream="s"} 10']);
  expect(series('kinesis_shard_')).toEqual([]);
  await call('EnableEnhancedMonitoring', { StreamName: 's', ShardLevelMetrics: ['IncomingRecords'] });
  await put(5);
  expect(series('kinesis_shard_')).toEqual([
    'kinesis_shard_incoming_records_total{stream="s",shard="shardId-000000000000"} 5',
  ]);
});

test('hot shards and keys are shown', async () => {
  for (let second = 0; second < 30; second += 1) {
    await put(60, 'hot "key"');
    await put(5, `cold ${second}`);
    nowMs += 1_000;
  }
  const [heat] = series('tributary_shard_records_per_second');
  expect(Number(heat?.split(' ').at(-1))).toBeGreaterThan(30);
  expect(series('tributary_shard_hot_key_share')).toEqual([
    expect.stringMatching(/key="hot \\"key\\""\} 0\.[89]/),
  ]);
});

test('OpenMetrics names families as it wants them, and ends', () => {
  const text = metrics.render('openmetrics');
  expect(text).toContain('# TYPE kinesis_incoming_bytes counter\n');
  expect(text.endsWith('# EOF\n')).toBe(true);
  expect(metrics.render()).toContain('# TYPE kinesis_incoming_bytes_total counter\n');
});
