// The readings of a publisher as they lie in a gateway's log.
import { join } from 'node:path';
import { decodeBlock } from '../../stream/block.ts';
import { START_POSITION } from '../../stream/position.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';

/** Where records without a route go. */
const LANE = { streamId: 'telemetry', shardId: 'normal' };
const ALL = { blocks: 1e6, bytes: 1e9 };

/** In order, of a data folder nobody has open. */
export async function storedNumbers(data: string): Promise<number[]> {
  const path = join(data, 'gateway.mdb');
  const store = await openLmdbStore({ path, clock: systemClock, layout: 'perShard' });
  try {
    const { blocks } = await store.log.readBlocks(LANE, START_POSITION, ALL);
    return blocks.flatMap(({ block }) =>
      decodeBlock(block, nodeDigest).records.map(({ data: payload }) =>
        Number(Buffer.from(payload).toString()),
      ),
    );
  } finally {
    await store.close();
  }
}
