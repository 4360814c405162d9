// Goal: the log's file never passes its cap, with large records behind small ones, and with a reader that never ends; what
// is dropped follows the policy and is counted. Method: a gateway's log on a real file, a child that holds a read
// transaction; sizes by seed.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LocalLog } from '../../gateway/local-log.ts';
import type { FullPolicy } from '../../gateway/log-budget.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { RecordLog } from '../../storage/record-log.ts';
import { openRunIdentity } from '../../storage/run-identity.ts';
import { verifyFolder } from '../../storage/verify/verify.ts';
import { decodeBlock } from '../../stream/block.ts';
import { isTributaryError } from '../../stream/errors.ts';
import { START_POSITION } from '../../stream/position.ts';
import type { Store } from '../../stream/ports.ts';
import type { RecordClass } from '../../stream/record.ts';
import { randomOf } from '../seeded-random.ts';

const MIB = 1024 * 1024;
const CAP_BYTES = 16 * MIB;
const HOLDER = join(import.meta.dirname, '../../dist/test/contract/read-holder.js');

let folder = '';
let holder: ChildProcess | null = null;
const closing: (() => Promise<void>)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-cap-'));
});
afterEach(async () => {
  holder?.kill('SIGKILL');
  holder = null;
  for (const close of closing.splice(0)) await close();
  rmSync(folder, { recursive: true, force: true });
});

async function open(whenFull: FullPolicy) {
  const path = join(folder, 'gateway.mdb');
  const store = await openLmdbStore({ path, clock: systemClock, layout: 'perShard', capBytes: CAP_BYTES });
  const run = openRunIdentity();
  const records = new RecordLog(store.log, run, systemClock, nodeDigest, {
    clockSync: () => 'unknown',
    makeRoom: (error) => local.makeRoom(error),
    pendingBytesMax: CAP_BYTES / 20,
  });
  const log = openLog('test', { level: 'error', write: () => undefined });
  const local: LocalLog = await LocalLog.open(
    { store, records, run: run.run, clock: systemClock, digest: nodeDigest, log },
    { capBytes: CAP_BYTES, acknowledgedRetentionMs: 0, whenFull, retentionMs: null },
  );
  closing.push(async () => {
    await local.close();
    await records.flush();
    await store.close();
  });
  const append = (text: string, recordClass: RecordClass = 'normal', bytes = text.length): Promise<void> => {
    const data = Buffer.from(text.padEnd(bytes, '.'));
    return local.append(
      { stream: 'telemetry', class: recordClass, forward: true },
      [{ partitionKey: 'k', data }],
      {},
    );
  };
  return { store, local, append, fileBytes: () => statSync(path).size };
}

/** What a lane still has, as the numbers its records start with. */
async function numbersOf(store: Store, recordClass: RecordClass): Promise<number[]> {
  const numbers: number[] = [];
  for (let next = START_POSITION; ;) {
    const page = await store.log.readBlocks({ streamId: 'telemetry', shardId: recordClass }, next, {
      blocks: 100,
      bytes: MIB,
    });
    if (page.blocks.length === 0) return numbers;
    for (const { block } of page.blocks)
      for (const { data } of decodeBlock(block, nodeDigest).records)
        numbers.push(Number.parseInt(Buffer.from(data).toString(), 10));
    next = page.next;
  }
}

function isConsecutive(numbers: readonly number[]): boolean {
  return numbers.every((number, index) => index === 0 || number === (numbers[index - 1] ?? 0) + 1);
}

describe('the cap of the log', () => {
  it.each([1, 2])('holds through four times its size of mixed records (seed %i)', async (seed) => {
    const random = randomOf(seed);
    const { store, local, append, fileBytes } = await open('drop-oldest');
    let [written, number, largest] = [0, 0, 0];
    let accepted = Promise.resolve();
    while (written < 4 * CAP_BYTES) {
      // Small ones first for long, then large ones that need many pages side by side.
      const isLarge = Math.floor(written / (CAP_BYTES / 4)) % 3 === 2;
      const bytes = isLarge ? Math.ceil(random() * 0.9 * MIB) : Math.ceil(random() * 6_000);
      if (isLarge) await accepted;
      accepted = append(`${number}`, 'normal', bytes);
      // Several share a commit.
      if (isLarge || random() < 0.05) await accepted;
      number += 1;
      written += Math.max(bytes, `${number}`.length);
      largest = Math.max(largest, fileBytes());
    }
    await accepted;
    // What it has begun to evict is gone then.
    await local.close();
    expect(largest).toBeLessThanOrEqual(CAP_BYTES);
    expect(store.usage().liveBytes).toBeGreaterThan(CAP_BYTES / 2);
    const kept = await numbersOf(store, 'normal');
    expect(kept.at(-1)).toBe(number - 1);
    expect(isConsecutive(kept)).toBe(true);
    expect(kept.length + local.evictedRecords).toBe(number);
    for (const close of closing.splice(0)) await close();
    expect(await verifyFolder(folder)).toMatchObject({ ok: true, records: kept.length });
  });

  it('drops the oldest of the lowest class first', async () => {
    const { store, append } = await open('drop-oldest-of-lowest-class');
    const counts = { alarm: 0, normal: 0, bulk: 0 };
    const put = async (recordClass: RecordClass, megabytes: number): Promise<void> => {
      for (let index = 0; index < megabytes * 8; index += 1) {
        await append(`${counts[recordClass]}`, recordClass, MIB / 8);
        counts[recordClass] += 1;
      }
    };
    await put('alarm', 3);
    await put('bulk', 6);
    await put('normal', 3);
    await put('alarm', 3);
    expect((await numbersOf(store, 'alarm')).length).toBe(counts.alarm);
    expect((await numbersOf(store, 'normal')).length).toBe(counts.normal);
    const bulk = await numbersOf(store, 'bulk');
    expect(bulk.length).toBeLessThan(counts.bulk);
    expect(bulk.at(-1)).toBe(counts.bulk - 1);
    await put('normal', 8);
    expect(await numbersOf(store, 'bulk')).toEqual([]);
    expect((await numbersOf(store, 'alarm')).length).toBe(counts.alarm);
    expect((await numbersOf(store, 'normal')).at(-1)).toBe(counts.normal - 1);
  });

  it('refuses what is new when it is told to, and takes it again when the server has taken records', async () => {
    const { store, local, append } = await open('reject');
    let stored = 0;
    let refusal: unknown = null;
    while (refusal === null) {
      try {
        await append(`${stored}`, 'normal', MIB / 8);
        stored += 1;
      } catch (error) {
        refusal = error;
      }
    }
    expect(isTributaryError(refusal, 'STORAGE_FULL') && refusal.retryable).toBe(true);
    expect(local.evictedRecords).toBe(0);
    expect(await numbersOf(store, 'normal')).toEqual([...Array(stored).keys()]);
    const [lane] = local.lanes();
    lane?.acknowledge(BigInt(Math.floor(stored / 2)));
    for (let isTaken = false; !isTaken;) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      isTaken = await append(`${stored}`).then(
        () => true,
        () => false,
      );
    }
    expect(local.evictedRecords).toBe(0);
    const kept = await numbersOf(store, 'normal');
    expect(kept.at(-1)).toBe(stored);
    expect(kept[0]).toBeLessThanOrEqual(Math.floor(stored / 2));
  });

  it('holds while another process reads an old state of it, and nothing is dropped for that', async () => {
    const { store, local, append, fileBytes } = await open('drop-oldest');
    let number = 0;
    while (local.evictedRecords === 0) {
      await append(`${number}`, 'normal', MIB / 8);
      number += 1;
    }
    holder = fork(HOLDER, [join(folder, 'gateway.mdb')]);
    await once(holder, 'message');
    const errors: unknown[] = [];
    while (errors.length < 20) {
      try {
        await append(`${number}`, 'normal', MIB / 8);
        number += 1;
      } catch (error) {
        errors.push(error);
      }
    }
    const evictedRecords = local.evictedRecords;
    for (const error of errors) {
      expect(isTributaryError(error, 'STORAGE_FULL')).toBe(true);
      expect((error as Error).message).toContain(`process ${holder.pid} reads an old state`);
    }
    expect(fileBytes()).toBeLessThanOrEqual(CAP_BYTES);
    expect(local.evictedRecords).toBe(evictedRecords);
    expect((await numbersOf(store, 'normal')).at(-1)).toBe(number - 1);
    const exited = once(holder, 'exit');
    holder.kill('SIGKILL');
    await exited;
    for (let index = 0; index < 100; index += 1) {
      await append(`${number}`, 'normal', MIB / 8);
      number += 1;
    }
    expect(fileBytes()).toBeLessThanOrEqual(CAP_BYTES);
    await local.close();
    const kept = await numbersOf(store, 'normal');
    expect(isConsecutive(kept)).toBe(true);
    expect(kept.length + local.evictedRecords).toBe(number);
  });
});
