// Goal: while a stream's key is waited for its blocks keep their order, whatever becomes of the key. Method: a store in
// memory, and a named key that answers when the test lets it.
import { beforeEach, describe, expect, it } from 'vitest';
import { nodeDigest } from '../../runtime/digest.ts';
import { localMasterKey } from '../../runtime/master-key.ts';
import type { MasterKey } from '../../runtime/master-key.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import type { MemoryStore } from '../../storage/memory/memory-store.ts';
import { Keyring } from '../../storage/seal/keyring.ts';
import { sealStore } from '../../storage/seal/seal-store.ts';
import { isSealed } from '../../storage/seal/sealed-block.ts';
import { STREAM_KEYS_PREFIX, StreamKeys } from '../../storage/seal/stream-keys.ts';
import { START_POSITION } from '../../stream/position.ts';
import type { ShardLog } from '../../stream/ports.ts';
import { blockOf, numberedRecords } from '../blocks.ts';

let nowUs = 0n;
const clock = { wallMs: () => 1_800_000_000_000, monotonicUs: () => nowUs };
const REF = { streamId: 'one', shardId: 'shardId-000000000000' };
const ALL = { blocks: 100, bytes: 1e9 };

let disk: MemoryStore;
let keys: StreamKeys;
let log: ShardLog;
let named: string | undefined;
let isThere: boolean;
/** Lets the named key answer, or refuse. */
let answers: ((error?: Error) => void)[];
beforeEach(async () => {
  disk = await openMemoryStore({ clock });
  answers = [];
  nowUs = 0n;
  named = 'key';
  isThere = true;
  keys = await StreamKeys.open({
    meta: disk.meta,
    clock,
    masterOf: () => slow(localMasterKey(Buffer.alloc(32, 1), { provider: 'file' })),
  });
  await keys.follow(
    () => named,
    () => isThere,
  );
  log = sealStore(disk, new Keyring(clock), nodeDigest, keys).log;
  await log.createShard(REF, { retentionMs: Infinity });
});

function slow(master: MasterKey): MasterKey {
  const waited = (): Promise<void> =>
    new Promise((resolve, reject) => {
      answers.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  return {
    ...master,
    generate: async (context) => {
      await waited();
      return master.generate(context);
    },
  };
}

const append = (ordinal: number) =>
  log.append(REF, {
    block: blockOf(numberedRecords(1), { firstOrdinal: BigInt(ordinal) }),
    recordCount: 1,
    lane: { lane: 'a', first: BigInt(ordinal), last: BigInt(ordinal), tag: Buffer.alloc(0) },
  });
/** Whether each stored block is sealed, in order. */
const stored = async () =>
  (await disk.log.readBlocks(REF, START_POSITION, ALL)).blocks.map(({ block }) => isSealed(block));
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('blocks of a lane', () => {
  it('that wait for the key are stored in their order, and those that come meanwhile behind them', async () => {
    const first = [append(1), append(2)];
    await settled();
    const last = append(3);
    expect(answers).toHaveLength(1);
    answers[0]?.();
    await Promise.all([...first, last, append(4)]);
    expect(await stored()).toEqual([true, true, true, true]);
    expect(answers).toHaveLength(1);
  });

  it('keep their order when the stream gets another key while they wait', async () => {
    const waiting = [append(1), append(2)];
    await settled();
    const renewal = keys.renew(REF.streamId, 'other');
    await settled();
    answers[1]?.();
    await renewal;
    named = 'other';
    answers[0]?.();
    await settled();
    answers[2]?.();
    await Promise.all([...waiting, append(3)]);
    expect(await stored()).toEqual([true, true, true]);
    const { blocks } = await log.readBlocks(REF, START_POSITION, ALL);
    expect(blocks.map(({ streamKey }) => keys.namedKeyOf(streamKey ?? 0))).toEqual([
      'other',
      'other',
      'other',
    ]);
  });

  it('keep their order when encryption is stopped while they wait', async () => {
    const waiting = [append(1), append(2)];
    await settled();
    named = undefined;
    const behind = append(3);
    answers[0]?.();
    await Promise.all([...waiting, behind]);
    expect(await stored()).toEqual([false, false, false]);
  });

  it('that are handed over together are not parted when the key is due to be asked after between them', async () => {
    const first = append(1);
    await settled();
    answers[0]?.();
    await first;
    nowUs = 5n * 60_000_000n - 1n;
    const together = [append(2)];
    nowUs += 1_000n;
    together.push(append(3));
    await log.closeShard(REF);
    await Promise.all(together);
    expect(await stored()).toEqual([true, true, true]);
  });

  it('are refused with the key, and stored when it is there again', async () => {
    const refused = [append(1), append(2)];
    await settled();
    answers[0]?.(new Error('disabled'));
    expect((await Promise.allSettled(refused)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await stored()).toEqual([]);
    const again = append(1);
    await settled();
    answers[1]?.();
    await again;
    expect(await stored()).toEqual([true]);
  });
});

it('streams that wait do not keep others waiting', async () => {
  const other = { ...REF, streamId: 'other' };
  await log.createShard(other, { retentionMs: Infinity });
  void append(1).catch(() => undefined);
  await settled();
  named = undefined;
  await log.append(other, { block: blockOf(numberedRecords(1)), recordCount: 1 });
  expect((await disk.log.bounds(other)).records).toBe(1);
});

it('a data key that is made while its stream is deleted goes with it', async () => {
  const waiting = append(1);
  await settled();
  isThere = false;
  await keys.removeOf(REF.streamId);
  answers[0]?.();
  await expect(waiting).rejects.toMatchObject({ code: 'KEY_INVALID' });
  for await (const { key } of disk.meta.list(STREAM_KEYS_PREFIX)) expect.unreachable(key);
});

it('data keys of streams that are gone are removed at the start', async () => {
  const first = append(1);
  await settled();
  answers[0]?.();
  await first;
  const reopened = await StreamKeys.open({ meta: disk.meta, clock, masterOf: () => expect.unreachable() });
  await reopened.follow(
    () => undefined,
    () => false,
  );
  for await (const { key } of disk.meta.list(STREAM_KEYS_PREFIX)) expect.unreachable(key);
});
