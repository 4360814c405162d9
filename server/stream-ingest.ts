// Where the records of gateways go: a lane's stream is found or made, and its shard followed when that is closed.
import { TributaryError, isTributaryError } from '../stream/errors.ts';
import { hashKeyOf } from '../stream/hash-range.ts';
import type { Digest, ShardLog, ShardRef } from '../stream/ports.ts';
import { shardFor } from '../stream/shard-map.ts';
import type { IngestLane, IngestTarget } from '../sync/ports.ts';
import type { StreamCatalog } from './kinesis/stream-catalog.ts';
import { shardRef } from './kinesis/stream-row.ts';
import { ServiceError } from './wire/service-error.ts';

/** One shard: whoever reads a small installation reads one iterator. Large streams are made by hand. */
const AUTO_CREATED = { mode: 'PROVISIONED', shardCount: 1 } as const;
const REROUTES_MAX = 1;

export class StreamIngest implements IngestTarget {
  readonly #catalog: StreamCatalog;
  readonly #log: ShardLog;
  readonly #digest: Digest;

  constructor(catalog: StreamCatalog, log: ShardLog, digest: Digest) {
    this.#catalog = catalog;
    this.#log = log;
    this.#digest = digest;
  }

  async openLane(stream: string, lane: string): Promise<IngestLane> {
    const hashKey = hashKeyOf(lane, this.#digest);
    let ref = await this.#route(stream, hashKey);
    const onShard = async <T>(call: (at: ShardRef) => Promise<T>): Promise<T> => {
      for (let reroutes = 0; ; reroutes += 1) {
        try {
          return await call(ref);
        } catch (error) {
          if (reroutes === REROUTES_MAX || !isMoved(error)) throw error;
          ref = await this.#route(stream, hashKey);
        }
      }
    };
    return {
      state: () => onShard((at) => this.#log.lane(at, lane)),
      append: (block, recordCount, ordinals) =>
        onShard((at) => this.#log.append(at, { block, recordCount, lane: { ...ordinals, lane } })),
    };
  }

  async #route(stream: string, hashKey: bigint): Promise<ShardRef> {
    try {
      const row = await this.#catalog.ensure(stream, AUTO_CREATED);
      return shardRef(row, shardFor(row.map, hashKey));
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      const text = `stream ${stream} cannot be made now: ${error.message}`;
      throw new TributaryError('BUSY', text, { cause: error });
    }
  }
}

/** The shard was split or merged, or the stream was deleted and perhaps made again. */
function isMoved(error: unknown): boolean {
  return isTributaryError(error, 'SHARD_CLOSED') || isTributaryError(error, 'SHARD_NOT_FOUND');
}
