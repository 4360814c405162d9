// Where the records of gateways go: a lane's stream is found or made, and its shard followed when that is closed.
import { parseHeader } from '../stream/block-header.ts';
import { toHashText } from '../stream/hash-range.ts';
import { TributaryError, isTributaryError } from '../stream/errors.ts';
import type { Digest, LaneState, ShardLog, ShardRef } from '../stream/ports.ts';
import { shardFor } from '../stream/shard-map.ts';
import type { IngestLane, IngestTarget } from '../sync/ports.ts';
import type { LaneQuota } from './fleet/lane-quota.ts';
import { laneHashKey } from './kinesis/resharding.ts';
import type { ShardMeters } from './kinesis/shard-meter.ts';
import type { StreamCatalog } from './kinesis/stream-catalog.ts';
import { shardRef } from './kinesis/stream-row.ts';
import type { StreamRow } from './kinesis/stream-row.ts';
import type { Traffic } from './kinesis/traffic.ts';
import { ServiceError } from './wire/service-error.ts';

/** One shard: whoever reads a small installation reads one iterator. Large streams are made by hand. */
const AUTO_CREATED = { mode: 'PROVISIONED', shardCount: 1 } as const;
/** Streams that one gateway's records may have made: they share `limits.shardsMax` with everybody's. */
export const STREAMS_MADE_MAX = 256;
/** Each is a split or merge that came between; more than a few in a row are a fault. */
const REROUTES_MAX = 5;

export interface IngestParts {
  readonly catalog: StreamCatalog;
  readonly log: ShardLog;
  readonly digest: Digest;
  readonly quota: LaneQuota;
  /** Gateways are flow-controlled by their credit, not limited by the shard; what they write counts for its heat. */
  readonly meters: ShardMeters;
  readonly traffic: Pick<Traffic, 'stored'>;
}

export class StreamIngest implements IngestTarget {
  readonly #parts: IngestParts;

  constructor(parts: IngestParts) {
    this.#parts = parts;
  }

  /** Throws BUSY when its gateway has had its share, or the stream cannot be made now. */
  async openLane(stream: string, lane: string): Promise<IngestLane> {
    const gateway = gatewayOf(lane);
    const hashKey = laneHashKey(lane, this.#parts.digest);
    let route = await this.#route(stream, hashKey, gateway);
    const onShard = async <T>(call: (at: Route) => Promise<T>): Promise<T> => {
      for (let reroutes = 0; ; reroutes += 1) {
        try {
          return await call(route);
        } catch (error) {
          if (error instanceof ServiceError)
            throw notNow(`records of stream ${stream} cannot be stored now`, error);
          if (reroutes === REROUTES_MAX || !isMoved(error)) throw error;
          route = await this.#route(stream, hashKey, gateway);
        }
      }
    };
    const state = (): Promise<LaneState | null> => onShard(({ ref }) => this.#parts.log.lane(ref, lane));
    const append: IngestLane['append'] = (block, recordCount, ordinals) =>
      onShard(async ({ ref, row, shard }) => {
        const result = await this.#parts.log.append(ref, { block, recordCount, lane: { ...ordinals, lane } });
        if (result.duplicate) return result;
        const { rawLength } = parseHeader(block);
        const meter = this.#parts.meters.of(row.id, shard);
        meter.wrote(recordCount, rawLength);
        this.#parts.traffic.stored(this.#parts.catalog.byId(row.id) ?? row, shard, {
          records: recordCount,
          bytes: rawLength,
        });
        meter.keys.add(lane, hashKey, meter.keys.due(rawLength));
        return result;
      });
    return { state, append: (await state()) === null ? this.#counted(append, gateway) : append };
  }

  /** The first append of a lane makes its row. */
  #counted(append: IngestLane['append'], gateway: string): IngestLane['append'] {
    this.#parts.quota.check(gateway);
    let isNew = true;
    return async (...parameters) => {
      if (!isNew) return append(...parameters);
      // Again: many may have been opened before one of them got records.
      this.#parts.quota.check(gateway);
      this.#parts.quota.add(gateway);
      isNew = false;
      try {
        return await append(...parameters);
      } catch (error) {
        this.#parts.quota.giveBack(gateway);
        isNew = true;
        throw error;
      }
    };
  }

  async #route(stream: string, hashKey: bigint, gateway: string): Promise<Route> {
    try {
      if (this.#parts.catalog.find(stream) === undefined) this.#checkStreams(gateway);
      const row = await this.#parts.catalog.ensure(stream, { ...AUTO_CREATED, madeFor: gateway });
      const shard = shardFor(row.map, toHashText(hashKey));
      return { ref: shardRef(row, shard), row, shard: shard.index };
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      throw notNow(`stream ${stream} cannot be made now`, error);
    }
  }

  #checkStreams(gateway: string): void {
    if (this.#parts.catalog.countMadeFor(gateway) < STREAMS_MADE_MAX) return;
    throw new TributaryError(
      'BUSY',
      `gateway ${gateway} has made ${STREAMS_MADE_MAX} streams, as many as one may; create the stream by hand, or delete some that it made`,
    );
  }
}

interface Route {
  readonly ref: ShardRef;
  readonly row: StreamRow;
  /** Index of it. */
  readonly shard: number;
}

/** The name of a lane begins with its gateway. */
function gatewayOf(lane: string): string {
  return lane.split('/', 1)[0] ?? lane;
}

/** Gateways keep their records and try again. */
function notNow(what: string, error: ServiceError): TributaryError {
  return new TributaryError('BUSY', `${what}: ${error.message}`, { cause: error });
}

/** The shard was split or merged, or the stream was deleted and perhaps made again. */
function isMoved(error: unknown): boolean {
  return isTributaryError(error, 'SHARD_CLOSED') || isTributaryError(error, 'SHARD_NOT_FOUND');
}
