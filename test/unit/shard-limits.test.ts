// Goal: a shard takes and gives what Kinesis says it does, and says so as Kinesis does when more is asked for. Method:
// the operations over the store in memory, time turned by hand.
import { beforeEach, describe, expect, it } from 'vitest';
import type { KinesisContext } from '../../server/kinesis/context.ts';
import { getRecords } from '../../server/kinesis/operations/get-records.ts';
import { putRecord } from '../../server/kinesis/operations/put-record.ts';
import { putRecords } from '../../server/kinesis/operations/put-records.ts';
import { shardLimits } from '../../server/kinesis/shard-limits.ts';
import { ShardMeters } from '../../server/kinesis/shard-meter.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import { CALLER, asJson, iteratorAt, kinesisContext } from '../kinesis-rig.ts';

const TEXT = 'Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.';
const refused = { type: 'ProvisionedThroughputExceededException', message: TEXT, retryable: true };
let nowMs: number;
let context: KinesisContext;
const clock = { wallMs: () => nowMs, monotonicUs: () => BigInt(nowMs) * 1_000n };

async function open(limits: Parameters<typeof shardLimits>): Promise<void> {
  const rig = await kinesisContext(await openMemoryStore({ clock }), clock);
  context = { ...rig, meters: new ShardMeters(shardLimits(...limits), () => nowMs) };
  await context.catalog.create('s', { mode: 'PROVISIONED', shardCount: 1, maxRecordKiB: 10_240 });
}

beforeEach(async () => {
  nowMs = 1_800_000_000_000;
  await open(['aws', {}]);
});

async function put(count: number, bytes: number): Promise<{ failed: number; codes: Set<string> }> {
  const Records = Array.from({ length: count }, () => ({ PartitionKey: 'k', Data: Buffer.alloc(bytes - 1) }));
  const answer = (await asJson(putRecords({ StreamName: 's', Records }, context, CALLER))) as {
    FailedRecordCount: number;
    Records: { ErrorCode?: string; ErrorMessage?: string }[];
  };
  const failed = answer.Records.filter(({ ErrorCode }) => ErrorCode !== undefined);
  return {
    failed: answer.FailedRecordCount,
    codes: new Set(failed.map(({ ErrorCode, ErrorMessage }) => `${ErrorCode}: ${ErrorMessage}`)),
  };
}

describe('writing', () => {
  it('takes 1,000 records a second, and answers the others one by one', async () => {
    expect((await put(500, 10)).failed).toBe(0);
    const { failed, codes } = await put(501, 10);
    expect(failed).toBe(1);
    expect([...codes]).toEqual([`ProvisionedThroughputExceededException: ${TEXT}`]);
    await expect(
      putRecord({ StreamName: 's', PartitionKey: 'k', Data: Buffer.alloc(1) }, context, CALLER),
    ).rejects.toMatchObject(refused);
    nowMs += 500;
    expect((await put(500, 10)).failed).toBe(0);
    expect((await put(1, 10)).failed).toBe(1);
  });

  it('takes 1 MiB a second of data and keys', async () => {
    expect((await put(8, 128 * 1024)).failed).toBe(0);
    expect((await put(1, 1)).failed).toBe(1);
    nowMs += 250;
    expect((await put(3, 128 * 1024)).failed).toBe(1);
  });

  it('takes a larger record when nothing was written for a second, and then nothing until it is made up for', async () => {
    expect((await put(1, 5 * 1024 * 1024)).failed).toBe(0);
    nowMs += 3_900;
    expect((await put(1, 1)).failed).toBe(1);
    nowMs += 101;
    expect((await put(1, 1)).failed).toBe(0);
    expect((await put(1, 2 * 1024 * 1024)).failed).toBe(1);
  });
});

describe('reading', () => {
  it('answers five calls a second', async () => {
    const ShardIterator = await iteratorAt(context, 's', 'shardId-000000000000');
    for (let call = 0; call < 5; call += 1) await getRecords({ ShardIterator }, context, CALLER);
    await expect(getRecords({ ShardIterator }, context, CALLER)).rejects.toMatchObject(refused);
    nowMs += 200;
    await getRecords({ ShardIterator }, context, CALLER);
  });

  it('rests after a large reply for as long as 2 MiB a second take', async () => {
    for (let second = 0; second < 8; second += 1) {
      await put(1, 1024 * 1024);
      nowMs += 1_000;
    }
    const ShardIterator = await iteratorAt(context, 's', 'shardId-000000000000');
    await getRecords({ ShardIterator }, context, CALLER);
    nowMs += 2_900;
    await expect(getRecords({ ShardIterator }, context, CALLER)).rejects.toMatchObject(refused);
    nowMs += 200;
    await getRecords({ ShardIterator }, context, CALLER);
  });

  it('gives five iterators a second', async () => {
    for (let call = 0; call < 5; call += 1) await iteratorAt(context, 's', 'shardId-000000000000');
    await expect(iteratorAt(context, 's', 'shardId-000000000000')).rejects.toMatchObject(refused);
  });
});

it('an operator changes single limits, or has none but those', async () => {
  await open(['off', { writeRecordsPerSecond: 3 }]);
  expect((await put(4, 10_000_000 / 4)).failed).toBe(1);
  await open(['aws', { writeRecordsPerSecond: 2_000 }]);
  expect((await put(500, 1)).failed + (await put(500, 1)).failed + (await put(500, 1)).failed).toBe(0);
});
