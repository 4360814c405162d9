// The program that is killed: appends to its lanes as fast as it can and says which ordinals were acknowledged.
// Arguments: store file, layout, records per append. Goes on where the store's lanes end.
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { systemClock } from '../../runtime/clock.ts';
import { blockOf, record } from '../blocks.ts';

export const LANES = ['a', 'b', 'c', 'd'] as const;
export const SHARDS = ['0', '1'] as const;

export interface Acknowledged {
  readonly lane: string;
  readonly last: string;
}

const TRIM_EVERY = 37n;

async function run(path: string, layout: LmdbLayout): Promise<void> {
  const { log, meta } = await openLmdbStore({ path, clock: systemClock, layout });
  for (const shardId of SHARDS) await log.createShard({ streamId: 's', shardId }, { retentionMs: Infinity });
  const write = async (lane: string, index: number) => {
    const ref = { streamId: 's', shardId: SHARDS[index % SHARDS.length] ?? '0' };
    let next = ((await log.lane(ref, lane))?.last ?? 0n) + 1n;
    for (;;) {
      const last = next + (next % 3n);
      const records = Array.from({ length: Number(last - next) + 1 }, (_, offset) =>
        record(lane, `${lane} ${next + BigInt(offset)} ${'x'.repeat(Number(next % 900n))}`),
      );
      await log.append(ref, {
        block: blockOf(records, { firstOrdinal: next }),
        recordCount: records.length,
        lane: { lane, first: next, last, tag: Buffer.from(`${last}`) },
        with: [{ key: `cursor/${lane}`, value: Buffer.from(`${last}`) }],
      });
      process.send?.({ lane, last: `${last}` } satisfies Acknowledged);
      if (last % TRIM_EVERY === 0n) meta.putLazy(`lazy/${lane}`, Buffer.from(`${last}`));
      next = last + 1n;
    }
  };
  await Promise.all(LANES.map(write));
}

const [path, layout] = process.argv.slice(2);
if (path !== undefined && process.send !== undefined) await run(path, layout as LmdbLayout);
