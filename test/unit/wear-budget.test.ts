// Goal: what is written stays within the budget, and nobody waits longer than his class allows. Method: a clock the test
// moves; a simulated day of the sensors that wear a card most.
import { describe, expect, it } from 'vitest';
import { LogWear } from '../../gateway/log-wear.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import { WearBudget } from '../../storage/wear-budget.ts';
import type { Clock } from '../../stream/ports.ts';

const DAY_MS = 86_400_000;
const GB = 1e9;

class MovedClock implements Clock {
  ms = 0;

  wallMs(): number {
    return this.ms;
  }

  monotonicUs(): bigint {
    return BigInt(Math.round(this.ms * 1_000));
  }
}

describe('WearBudget', () => {
  it('asks for no wait until a day is spent, then until the debt is earned', () => {
    const clock = new MovedClock();
    const budget = new WearBudget(clock, DAY_MS);
    budget.spend(DAY_MS);
    expect(budget.waitMs()).toBe(0);
    budget.spend(500);
    expect(budget.waitMs()).toBeCloseTo(500);
    clock.ms += 400;
    expect(budget.waitMs()).toBeCloseTo(100);
    clock.ms += 100;
    expect(budget.waitMs()).toBeCloseTo(0);
  });

  it('saves up one day and forgives what thirty seconds do not earn', () => {
    const clock = new MovedClock();
    const budget = new WearBudget(clock, DAY_MS, 0);
    clock.ms += 10 * DAY_MS;
    expect(budget.levelBytes).toBe(DAY_MS);
    budget.spend(50 * DAY_MS);
    expect(budget.waitMs()).toBeCloseTo(30_000);
  });

  it('never waits without a bound', () => {
    const budget = new WearBudget(new MovedClock(), Infinity);
    budget.spend(1e15);
    expect(budget.waitMs()).toBe(0);
  });

  it.each([1, 10, 100])('holds a day of %i messages a second of normal class', (perSecond) => {
    // A commit of few records writes about this much; each waits a second at most.
    const commitBytes = 32 * 1024;
    const clock = new MovedClock();
    const bytesPerDay = 4 * GB;
    const budget = new WearBudget(clock, bytesPerDay, 0);
    let written = 0;
    let worstMs = 0;
    const arrivalEveryMs = 1_000 / perSecond;
    for (let nextMs = 0; nextMs < DAY_MS; nextMs += arrivalEveryMs) {
      clock.ms = Math.max(clock.ms, nextMs);
      if (clock.ms > nextMs + arrivalEveryMs) continue;
      const waitMs = Math.min(1_000, budget.waitMs());
      worstMs = Math.max(worstMs, waitMs);
      clock.ms += waitMs;
      written += commitBytes;
      budget.spend(commitBytes);
    }
    expect(written).toBeLessThanOrEqual(bytesPerDay + 2 * commitBytes);
    expect(worstMs).toBeLessThanOrEqual(1_000);
  });
});

describe('LogWear', () => {
  async function open(clock: Clock, bytesPerDay: number) {
    const memory = await openMemoryStore({ clock });
    const disk = { written: 0 };
    const store = { meta: memory.meta, writtenBytes: () => disk.written };
    const log = openLog('test', { level: 'error', write: () => undefined });
    return { disk, wear: await LogWear.open({ store, clock, log }, bytesPerDay), store, log };
  }

  it('goes by what the store has written, and keeps what is left over a restart', async () => {
    const clock = new MovedClock();
    const { disk, wear, store, log } = await open(clock, DAY_MS);
    expect(wear.waitMs()).toBe(0);
    disk.written = DAY_MS + 800;
    expect(wear.waitMs()).toBeCloseTo(800);
    expect(wear.status).toEqual({ writtenBytes: DAY_MS + 800, creditBytes: -800 });
    wear.close();
    disk.written = 0;
    const again = await LogWear.open({ store, clock, log }, DAY_MS);
    expect(again.waitMs()).toBeCloseTo(800);
  });

  it('has no bound at 0', async () => {
    const { disk, wear } = await open(new MovedClock(), 0);
    disk.written = 1e15;
    expect(wear.waitMs()).toBe(0);
    expect(wear.status.creditBytes).toBeNull();
  });
});
