// How hot each open shard is, and by which keys: what splits and merges go by, for people to see.
import type { Labels, MetricsRegistry } from '../../runtime/metrics.ts';
import { openShards, shardIdOf } from '../../stream/shard-map.ts';
import type { ShardMeter, ShardMeters } from './shard-meter.ts';
import type { StreamCatalog } from './stream-catalog.ts';

const HOT_KEYS_SHOWN = 3;
/** A key below this part of its shard's traffic is not hot. */
const HOT_KEY_SHARE_MIN = 0.1;
/** Fewer say nothing. */
const SAMPLES_MIN = 16;

interface Value {
  readonly labels: Labels;
  readonly value: number;
}

export function observeHeat(metrics: MetricsRegistry, catalog: StreamCatalog, meters: ShardMeters): void {
  const each = (read: (meter: ShardMeter, labels: Labels) => Value[]): Value[] =>
    catalog.list().flatMap((row) =>
      openShards(row.map).flatMap(({ index }) => {
        const meter = meters.find(row.id, index);
        return meter === undefined ? [] : read(meter, { stream: row.name, shard: shardIdOf(index) });
      }),
    );
  metrics.observe(
    'tributary_shard_bytes_per_second',
    'Bytes stored in each open shard, averaged over half a minute',
    () => each(({ heat }, labels) => [{ labels, value: heat.bytesPerSecond }]),
  );
  metrics.observe(
    'tributary_shard_records_per_second',
    'Records stored in each open shard, averaged over half a minute',
    () => each(({ heat }, labels) => [{ labels, value: heat.recordsPerSecond }]),
  );
  metrics.observe(
    'tributary_shard_hot_key_share',
    'Part of its shard’s traffic that a hot partition key, or a gateway’s lane, makes: 0 to 1',
    () => each(({ keys }, labels) => hotKeys(keys, labels)),
  );
}

function hotKeys(keys: ShardMeter['keys'], labels: Labels): Value[] {
  if (keys.count < SAMPLES_MIN) return [];
  return keys
    .hottest(HOT_KEYS_SHOWN)
    .filter(({ share }) => share >= HOT_KEY_SHARE_MIN)
    .map(({ key, share }) => ({ labels: { ...labels, key }, value: share }));
}
