// Goal: what is appended is read back after a restart, lanes are exact, a fence is a fence. Method: a real file.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { START_POSITION } from '../../stream/position.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { openLmdbStore } from '../../storage/lmdb-store.ts';
import { RecordLog } from '../../storage/record-log.ts';
import { openRunIdentity } from '../../storage/run-identity.ts';
import { blockOf, numberedRecords } from '../blocks.ts';

const folder = mkdtempSync(join(tmpdir(), 'tributary-store-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const REF = { streamId: 's', shardId: '0' };
const path = join(folder, 'log.mdb');

it('reads back after a restart what was appended, from any record on', async () => {
  const store = await openLmdbStore({ path, clock: systemClock });
  await store.log.createShard(REF, { retentionMs: Infinity });
  const log = new RecordLog(store.log, openRunIdentity(), systemClock, nodeDigest);
  const sent = numberedRecords(100);
  const positions = await log.append(REF, sent, { class: 'normal' });
  await store.meta.put('a', Buffer.from('1'), 'absent');
  await store.close();
  const again = await openLmdbStore({ path, clock: systemClock });
  const reader = new RecordLog(again.log, openRunIdentity(), systemClock, nodeDigest);
  const page = await reader.read(REF, positions[40] ?? START_POSITION, { records: 10, bytes: 1e6 });
  expect(page.records.map((record) => Buffer.from(record.data).toString())).toEqual(
    sent.slice(40, 50).map((record) => Buffer.from(record.data).toString()),
  );
  expect(Buffer.from((await again.meta.get('a'))?.value ?? []).toString()).toBe('1');
  await expect(again.meta.put('a', Buffer.from('2'), 'absent')).rejects.toMatchObject({
    code: 'META_CONFLICT',
  });
  await again.close();
});

it('takes exactly the next ordinals, and nothing behind a fence', async () => {
  const store = await openLmdbStore({ path, clock: systemClock });
  const offer = (first: bigint, last: bigint) =>
    store.log.append(REF, {
      block: blockOf(numberedRecords(1)),
      recordCount: 1,
      lane: { lane: 'l', first, last, tag: new Uint8Array() },
    });
  const answers = await Promise.allSettled([
    offer(1n, 3n),
    offer(4n, 4n),
    offer(1n, 3n),
    offer(9n, 9n),
    offer(4n, 6n),
  ]);
  expect(
    answers.map((one) =>
      one.status === 'fulfilled' ? one.value.duplicate : (one.reason as { code: string }).code,
    ),
  ).toEqual([false, false, true, 'LANE_GAP', 'LANE_OVERLAP']);
  const { lanes } = await store.log.closeShard(REF);
  expect(lanes.map(({ lane, last }) => [lane, last])).toEqual([['l', 4n]]);
  await expect(offer(5n, 5n)).rejects.toMatchObject({ code: 'SHARD_CLOSED' });
  await store.close();
});
