// Goal: who meets a full disk is told so, the client in the answer and the operator in the log, not once for each record.
// Method: the service over a store in memory that is told to fail; a clock that the test turns.
import { expect, it } from 'vitest';
import { seldom } from '../../runtime/seldom.ts';
import { guardStore } from '../../runtime/storage-guard.ts';
import { KinesisClient } from './kinesis-client.ts';

const StreamName = 's';
const RECORD = { PartitionKey: 'k', Data: 'aGk=' };

it('a record that a full disk refuses is throttled, with the reason', async () => {
  const rig = await KinesisClient.open();
  await rig.call('CreateStream', { StreamName, ShardCount: 1 });
  const refused = /^ProvisionedThroughputExceededException: .*disk is full/;
  rig.store.failNext('ENOSPC');
  expect(await rig.refusal('PutRecord', { StreamName, ...RECORD })).toMatch(refused);
  rig.store.failNext('ENOSPC');
  const { Records } = await rig.call('PutRecords', { StreamName, Records: [RECORD] });
  const [entry] = Records as { ErrorCode: string; ErrorMessage: string }[];
  expect(`${entry?.ErrorCode}: ${entry?.ErrorMessage}`).toMatch(refused);
  expect(await rig.refusal('PutRecord', { StreamName, ...RECORD })).toBe('it succeeded');
});

it('a guarded store tells each call that met a full disk', async () => {
  const { store } = await KinesisClient.open();
  const told: string[] = [];
  const onFailed = () => told.push('failed');
  const { meta } = guardStore(store, onFailed, (error) => told.push(error.message));
  for (let n = 0; n < 2; n += 1) {
    store.failNext('ENOSPC');
    await expect(meta.put('k', Buffer.alloc(0), 'any')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  }
  await meta.put('k', Buffer.alloc(0), 'any');
  expect(told).toEqual(Array(2).fill('the disk is full: nothing was written'));
});

it('what comes often is told once in a while', () => {
  let nowMs = 0;
  const told: number[] = [];
  const tell = seldom({ monotonicUs: () => BigInt(nowMs) * 1000n }, 60_000, (ms: number) => told.push(ms));
  for (; nowMs <= 120_000; nowMs += 10_000) tell(nowMs);
  expect(told).toEqual([0, 60_000, 120_000]);
});
