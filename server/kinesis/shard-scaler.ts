// Splits shards that carry too much and merges those that carry little: of streams on demand, and of provisioned ones
// whose owner asks for it by a tag. A split goes where it halves the traffic, which for a gateway's lanes means between them.
import type { Log } from '../../stream/ports.ts';
import { openShards } from '../../stream/shard-map.ts';
import type { ReshardStep, Shard } from '../../stream/shard-map.ts';
import { ServiceError } from '../wire/service-error.ts';
import { SHARD_CAPACITY } from './shard-limits.ts';
import type { Heat, ShardMeter, ShardMeters } from './shard-meter.ts';
import type { StreamCatalog } from './stream-catalog.ts';
import type { StreamRow } from './stream-row.ts';
import { shardsMin } from './warm-throughput.ts';

/** A provisioned stream with this tag set to `on` is scaled as one on demand is. */
export const SCALING_TAG = 'tributary:auto-scaling';

/** Of a shard's capacity. Kinesis splits above 500 KB/s, too. */
const HOT_SHARE = 0.5;
/** Two neighbours of which each carries less make one that is far from hot. */
const COLD_SHARE = 0.1;
/** A pause over lunch is no reason to merge. */
const COLD_FOR_MS = 15 * 60_000;
/** Fewer say nothing about where the middle is. */
const SAMPLES_MIN = 16;

export interface ShardScalerOptions {
  readonly catalog: StreamCatalog;
  readonly meters: ShardMeters;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  readonly log: Log;
}

export class ShardScaler {
  readonly #options: ShardScalerOptions;
  /** Since when each shard is cold, by stream and shard. */
  #coldSince = new Map<string, number>();
  /** Shards that one key alone keeps hot: told once. */
  readonly #told = new Set<string>();

  constructor(options: ShardScalerOptions) {
    this.#options = options;
  }

  /** Looks at every stream once and takes at most one round of each. */
  async look(): Promise<void> {
    const coldSince = new Map<string, number>();
    for (const row of this.#options.catalog.list()) {
      if (row.status !== 'ACTIVE' || !isScaled(row)) continue;
      this.#noteCold(row, coldSince);
      await this.#scale(row, coldSince);
    }
    this.#coldSince = coldSince;
  }

  async #scale(row: StreamRow, coldSince: ReadonlyMap<string, number>): Promise<void> {
    const { catalog, log, meters } = this.#options;
    const splits = openShards(row.map).flatMap((shard) => this.#splitOf(row, shard) ?? []);
    const round = splits.length > 0 ? splits : this.#merges(row, coldSince);
    if (round.length === 0) return;
    try {
      await catalog.reshard(row.name, (now) => (now.map === row.map ? [round] : []), { isQuiet: true });
      log.notice('shards are scaled by their traffic', {
        stream: row.name,
        steps: round.map((step) => ({ ...step, ...('at' in step ? { at: step.at.toString() } : {}) })),
        heat: round.map(({ shard }) => meters.of(row.id, shard).heat),
      });
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      log.warn('shards cannot be scaled now', { stream: row.name, reason: error.message });
    }
  }

  #splitOf(row: StreamRow, shard: Shard): ReshardStep | null {
    const meter = this.#options.meters.of(row.id, shard.index);
    if (shareOf(meter.heat) < HOT_SHARE || meter.keys.count < SAMPLES_MIN) return null;
    const at = meter.keys.splitPoint(shard.range);
    if (at !== null) return { kind: 'split', shard: shard.index, at };
    this.#tellHotKey(row, shard, meter);
    return null;
  }

  #tellHotKey(row: StreamRow, shard: Shard, meter: ShardMeter): void {
    const place = placeOf(row, shard.index);
    if (this.#told.has(place)) return;
    this.#told.add(place);
    const [hottest] = meter.keys.hottest(1);
    this.#options.log.warn(
      'one partition key alone keeps a shard hot: no split can help; spread it over more keys',
      {
        stream: row.name,
        shard: shard.index,
        key: hottest?.key,
      },
    );
  }

  /** Pairs of neighbours that were cold for long, while more shards are open than the stream starts with. */
  #merges(row: StreamRow, coldSince: ReadonlyMap<string, number>): ReshardStep[] {
    const open = openShards(row.map);
    const floor = shardsMin(row);
    const isOld = ({ index }: Shard): boolean => {
      const sinceMs = coldSince.get(placeOf(row, index));
      return sinceMs !== undefined && this.#options.now() - sinceMs >= COLD_FOR_MS;
    };
    const steps: ReshardStep[] = [];
    for (let place = 0; place + 1 < open.length && open.length - steps.length > floor; place += 1) {
      const [lower, upper] = [open[place], open[place + 1]];
      if (lower === undefined || upper === undefined || !isOld(lower) || !isOld(upper)) continue;
      steps.push({ kind: 'merge', shard: lower.index, adjacent: upper.index });
      place += 1;
    }
    return steps;
  }

  #noteCold(row: StreamRow, coldSince: Map<string, number>): void {
    for (const { index } of openShards(row.map)) {
      if (shareOf(this.#options.meters.of(row.id, index).heat) >= COLD_SHARE) continue;
      const place = placeOf(row, index);
      coldSince.set(place, this.#coldSince.get(place) ?? this.#options.now());
    }
  }
}

function isScaled(row: StreamRow): boolean {
  return row.mode === 'ON_DEMAND' || row.tags[SCALING_TAG] === 'on';
}

/** Of a shard's capacity, by what it has less of. */
function shareOf({ recordsPerSecond, bytesPerSecond }: Heat): number {
  const { writeRecordsPerSecond, writeBytesPerSecond } = SHARD_CAPACITY;
  return Math.max(recordsPerSecond / writeRecordsPerSecond, bytesPerSecond / writeBytesPerSecond);
}

function placeOf(row: StreamRow, index: number): string {
  return `${row.id}/${index}`;
}
