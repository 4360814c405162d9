// Goal: a commit waits for company exactly as long as everybody may be kept waiting. Method: a RecordLog on the memory
// engine, with a pace the test sets and fake timers.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { nodeDigest } from '../../runtime/digest.ts';
import { LINGER_MS_MAX } from '../../storage/linger.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import { RecordLog } from '../../storage/record-log.ts';
import type { WriteOptions } from '../../storage/record-log.ts';
import { openRunIdentity } from '../../storage/run-identity.ts';
import { BLOCK_BYTES_TARGET } from '../../stream/limits.ts';
import type { Clock } from '../../stream/ports.ts';
import { START_POSITION } from '../../stream/position.ts';

const REF = { streamId: 's', shardId: '0' };
const clock: Clock = { wallMs: () => Date.now(), monotonicUs: () => BigInt(Date.now()) * 1_000n };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function open(pace = { ms: 60_000 }, pendingBytesMax = 1e9) {
  const store = await openMemoryStore({ clock });
  await store.log.createShard(REF, { retentionMs: Infinity });
  const records = new RecordLog(store.log, openRunIdentity(), clock, nodeDigest, {
    pace: { waitMs: () => pace.ms },
    clockSync: () => 'unknown',
    pendingBytesMax,
  });
  const startedMs = Date.now();
  const durableMs = new Map<string, number>();
  const append = (name: string, options: WriteOptions, data = name): void => {
    void records
      .append(REF, [{ partitionKey: 'k', data: Buffer.from(data) }], options)
      .then(() => durableMs.set(name, Date.now() - startedMs));
  };
  const blocks = async (): Promise<number> => {
    const page = await store.log.readBlocks(REF, START_POSITION, { blocks: 100, bytes: 1e9 });
    return page.blocks.length;
  };
  return { records, append, durableMs, blocks, pace };
}

describe('a pace that asks for waiting', () => {
  it('keeps each class as long as that may wait, and an alarm not at all', async () => {
    for (const recordClass of ['alarm', 'normal', 'bulk'] as const) {
      const { append, durableMs } = await open();
      append('one', { class: recordClass });
      await vi.advanceTimersByTimeAsync(Math.max(0, LINGER_MS_MAX[recordClass] - 1));
      if (recordClass !== 'alarm') expect(durableMs.has('one')).toBe(false);
      await vi.advanceTimersByTimeAsync(2);
      expect(durableMs.has('one')).toBe(true);
    }
  });

  it('commits everybody with the first that is due', async () => {
    const { append, durableMs, blocks } = await open();
    append('bulk', { class: 'bulk' });
    await vi.advanceTimersByTimeAsync(10_000);
    append('normal', { class: 'normal' });
    await vi.advanceTimersByTimeAsync(500);
    expect(durableMs.size).toBe(0);
    append('alarm', { class: 'alarm' });
    await vi.advanceTimersByTimeAsync(1);
    expect([...durableMs.keys()].toSorted()).toEqual(['alarm', 'bulk', 'normal']);
    expect(await blocks()).toBe(3);
  });

  it('starts to wait anew behind each commit', async () => {
    const { append, durableMs } = await open();
    append('one', { class: 'normal' });
    await vi.advanceTimersByTimeAsync(1_002);
    append('two', { class: 'normal' });
    await vi.advanceTimersByTimeAsync(900);
    expect([...durableMs.keys()]).toEqual(['one']);
    await vi.advanceTimersByTimeAsync(102);
    expect([...durableMs.keys()]).toEqual(['one', 'two']);
  });

  it('waits no longer than a caller can', async () => {
    const { append, durableMs } = await open();
    append('patient', { class: 'bulk' });
    append('hurried', { class: 'bulk', lingerMsMax: 200 });
    await vi.advanceTimersByTimeAsync(199);
    expect(durableMs.size).toBe(0);
    await vi.advanceTimersByTimeAsync(3);
    expect(durableMs.size).toBe(2);
  });

  it('waits no longer than the budget needs', async () => {
    const { append, durableMs, pace } = await open({ ms: 300 });
    append('one', { class: 'normal' });
    await vi.advanceTimersByTimeAsync(299);
    expect(durableMs.size).toBe(0);
    pace.ms = 0;
    await vi.advanceTimersByTimeAsync(2);
    expect(durableMs.size).toBe(1);
  });

  it('commits a full block at once', async () => {
    const { append, durableMs } = await open();
    append('one', { class: 'bulk' });
    await vi.advanceTimersByTimeAsync(10);
    append('large', { class: 'bulk' }, 'x'.repeat(BLOCK_BYTES_TARGET));
    await vi.advanceTimersByTimeAsync(1);
    expect(durableMs.size).toBe(2);
  });

  it('takes a record that is larger than all that may wait beside those that do', async () => {
    const { append, durableMs } = await open({ ms: 60_000 }, BLOCK_BYTES_TARGET);
    append('small', { class: 'normal' });
    await vi.advanceTimersByTimeAsync(10);
    append('large', { class: 'normal' }, 'x'.repeat(3 * BLOCK_BYTES_TARGET));
    await vi.advanceTimersByTimeAsync(1);
    expect([...durableMs.keys()]).toEqual(['small', 'large']);
  });

  it('lets nobody wait once the log is flushed', async () => {
    const { append, durableMs, records } = await open();
    append('one', { class: 'bulk' });
    await vi.advanceTimersByTimeAsync(10);
    const flushed = records.flush();
    await vi.advanceTimersByTimeAsync(1);
    await flushed;
    append('two', { class: 'bulk' });
    await vi.advanceTimersByTimeAsync(1);
    expect([...durableMs.keys()]).toEqual(['one', 'two']);
  });
});
