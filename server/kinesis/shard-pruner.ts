// Removes closed shards whose records have all expired: from the log, then from the stream's map.
import type { Clock, ShardLog } from '../../stream/ports.ts';
import type { Shard } from '../../stream/shard-map.ts';
import type { ShardMeters } from './shard-meter.ts';
import type { StreamCatalog } from './stream-catalog.ts';
import { shardRef, unexpiredShards } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

/** A clock that is ahead for a while must not delete anything: an hour of running time shows that it keeps its time. */
const CONFIRM_MS = 3_600_000;

export interface ShardPrunerOptions {
  readonly catalog: StreamCatalog;
  readonly log: ShardLog;
  readonly clock: Clock;
  readonly meters: ShardMeters;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
}

export class ShardPruner {
  readonly #options: ShardPrunerOptions;
  /** Since when each closed shard was seen expired at every look. */
  #expiredSince = new Map<string, number>();

  constructor(options: ShardPrunerOptions) {
    this.#options = options;
  }

  async look(): Promise<void> {
    const { catalog, clock, now } = this.#options;
    const expiredSince = new Map<string, number>();
    for (const row of catalog.list()) {
      if (row.status !== 'ACTIVE' || row.reshard !== undefined) continue;
      const kept = new Set(unexpiredShards(row, clock.wallMs()));
      const gone = row.map.shards.filter((shard) => {
        if (kept.has(shard)) return false;
        const place = `${row.id}/${shard.index}`;
        const sinceMs = this.#expiredSince.get(place) ?? now();
        expiredSince.set(place, sinceMs);
        return now() - sinceMs >= CONFIRM_MS;
      });
      if (gone.length > 0) await this.#remove(row, gone);
    }
    this.#expiredSince = expiredSince;
    const open = catalog
      .list()
      .map(({ id, map }) => [id, new Set(map.shards.map(({ index }) => index))] as const);
    this.#options.meters.keep(new Map(open));
  }

  /** The log first: what a crash leaves in the map is removed by the next look, what it left in the log never would be. */
  async #remove(row: StreamRow, gone: readonly Shard[]): Promise<void> {
    await this.#options.catalog.whileActive(row.name, async () => {
      await Promise.all(gone.map((shard) => this.#options.log.dropShard(shardRef(row, shard))));
    });
    const indexes = new Set(gone.map(({ index }) => index));
    await this.#options.catalog.update(row.name, (now) =>
      now.id === row.id
        ? { ...now, map: { ...now.map, shards: now.map.shards.filter(({ index }) => !indexes.has(index)) } }
        : now,
    );
  }
}
