// Goal: a gateway passes over what is damaged and tells the server, and over nothing that only lacks its key. Method: a
// lane over a sealed store, whose blocks are moved, swapped, or read without the key.
import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { isTributaryError } from '../../stream/errors.ts';
import { START_POSITION } from '../../stream/position.ts';
import type { Store } from '../../stream/ports.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { localMasterKey } from '../../runtime/master-key.ts';
import { LocalLane, shardRefOf } from '../../gateway/local-lane.ts';
import { Keyring } from '../../storage/seal/keyring.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import { RecordLog } from '../../storage/record-log.ts';
import { openRunIdentity } from '../../storage/run-identity.ts';
import { sealStore } from '../../storage/seal/seal-store.ts';
import { FOLDER_KEY } from '../../storage/seal/vault.ts';

const NAME = { stream: 'telemetry', class: 'normal', forward: true } as const;
const REF = shardRefOf(NAME);
const ALL = { blocks: 100, bytes: 1e9 };

let disk: Store;
let master = localMasterKey(randomBytes(32), FOLDER_KEY);
beforeEach(async () => {
  disk = await openMemoryStore({ clock: systemClock });
  master = localMasterKey(randomBytes(32), FOLDER_KEY);
});

function sealed(): Store {
  const ring = new Keyring(systemClock);
  ring.startSealing(disk.meta, master);
  return sealStore(disk, ring, nodeDigest);
}

async function lane(store: Store): Promise<LocalLane> {
  return LocalLane.open(NAME, { store, digest: nodeDigest, run: openRunIdentity().run });
}

/** Three blocks of one record each. */
async function written(): Promise<Store> {
  const store = sealed();
  await store.log.createShard(REF, { retentionMs: Infinity });
  const records = new RecordLog(store.log, openRunIdentity(), systemClock, nodeDigest);
  for (const text of ['a', 'b', 'c'])
    await records.append(REF, [{ partitionKey: 'k', data: Buffer.from(text) }], {
      class: 'normal',
      isLane: true,
    });
  return store;
}

/** The code, and up to where the reader may pass over. */
async function refusal(of: LocalLane, ordinal: bigint): Promise<unknown> {
  try {
    return await of.readBlock(ordinal);
  } catch (error) {
    if (!isTributaryError(error)) throw error;
    return [error.code, error.details['lastOrdinal']];
  }
}

/** The blocks as they lie on the disk, in another order. */
async function reordered(order: readonly number[], ref = REF): Promise<void> {
  const { blocks } = await disk.log.readBlocks(REF, START_POSITION, ALL);
  const bytes = blocks.map(({ block }) => block);
  await disk.log.dropShard(ref);
  await disk.log.createShard(ref, { retentionMs: Infinity });
  for (const index of order)
    await disk.log.append(ref, { block: bytes[index] ?? new Uint8Array(), recordCount: 1 });
}

describe('a lane over a sealed log', () => {
  it('reads its blocks', async () => {
    const read = await lane(await written());
    for (const ordinal of [1n, 2n, 3n]) expect(await read.readBlock(ordinal)).toBeInstanceOf(Uint8Array);
  });

  it('passes over blocks that changed places', async () => {
    const store = await written();
    await reordered([0, 2, 1]);
    const read = await lane(store);
    expect(await read.readBlock(1n)).toBeInstanceOf(Uint8Array);
    expect(await refusal(read, 2n)).toEqual(['BLOCK_MALFORMED', 2n]);
    expect(await refusal(read, 3n)).toEqual(['BLOCK_MALFORMED', 3n]);
  });

  it('passes over blocks of another lane', async () => {
    const store = await written();
    const alarms = { ...NAME, class: 'alarm' } as const;
    await reordered([0, 1, 2], shardRefOf(alarms));
    const read = await LocalLane.open(alarms, { store, digest: nodeDigest, run: openRunIdentity().run });
    expect(await refusal(read, 2n)).toEqual(['BLOCK_CHECKSUM', 2n]);
  });

  it('passes over nothing that only lacks its key', async () => {
    await written();
    const stranger = new Keyring(systemClock);
    stranger.startSealing(disk.meta, master);
    const read = await lane(sealStore(disk, stranger, nodeDigest));
    expect(await refusal(read, 1n)).toEqual(['KEY_INVALID', undefined]);
  });
});
