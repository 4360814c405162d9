// Goal: who waits for a change is woken by it or by the abort, and nothing is kept of those who gave up: the shard of an
// idle stream sees subscribers come and go for months. Method: the heap before and after many of them.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { ChangeSignal } from '../../storage/change-signal.ts';

const WAITS = 20_000;

describe('a change', () => {
  it('wakes everybody who took it before, and nobody who takes the next one', async () => {
    const signal = new ChangeSignal();
    const { signal: abort } = new AbortController();
    const change = signal.next();
    const waits = [change.orAbort(abort), change.orAbort(abort)];
    signal.raise();
    expect(await Promise.all(waits)).toEqual([true, true]);
    expect(await change.orAbort(abort)).toBe(true);
    const ending = new AbortController();
    const later = signal.next().orAbort(ending.signal);
    ending.abort();
    expect([await later, await signal.next().orAbort(ending.signal)]).toEqual([false, false]);
  });

  it('that never comes remembers nobody who gave up', async () => {
    const signal = new ChangeSignal();
    const giveUp = async (count: number): Promise<void> => {
      for (let n = 0; n < count; n += 1) {
        const ending = new AbortController();
        const wait = signal.next().orAbort(ending.signal);
        ending.abort();
        await wait;
      }
    };
    await giveUp(1_000);
    const before = heapBytes();
    await giveUp(WAITS);
    expect((heapBytes() - before) / WAITS).toBeLessThan(100);
  });
});

function heapBytes(): number {
  setFlagsFromString('--expose_gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}
