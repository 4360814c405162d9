// Goal: a record is dated by the best that is known of its boot, however late, and the order of one boot's records never
// depends on a clock. Method: clocks the test sets, property tests over blocks and anchors.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ClockAnchors } from '../../gateway/clock-anchors.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import { eventTime } from '../../stream/event-time.ts';
import type { Clock, Store } from '../../stream/ports.ts';
import { CLOCK_SYNC_STATES } from '../../stream/record.ts';

const NOW_MS = 1_767_225_600_000;
const BOOT = new Uint8Array(16).fill(7);

class Machine implements Clock {
  ms = 0;
  wall = 0;
  isSynchronized = false;

  wallMs(): number {
    return this.wall + this.ms;
  }

  monotonicUs(): bigint {
    return BigInt(Math.round(this.ms * 1_000));
  }
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
afterEach(() => void vi.useRealTimers());

function open(machine: Machine, store: Store, bootId = BOOT): Promise<ClockAnchors> {
  const log = openLog('test', { level: 'error', write: () => undefined });
  return ClockAnchors.open({
    meta: store.meta,
    clock: machine,
    log,
    bootId,
    isSynchronized: () => machine.isSynchronized,
  });
}

describe('eventTime', () => {
  const block = { monotonicBaseUs: 5_000_000n, wallBaseMs: 3_000, clockSync: 'unknown' as const };

  it('dates a record of 1970 by what was learned later', () => {
    const anchor = { monotonicUs: 60_000_000n, wallMs: NOW_MS, state: 'ntp' as const };
    expect(eventTime(block, 5_500_000n, anchor)).toEqual({ ms: NOW_MS - 54_500, state: 'ntp' });
    expect(eventTime(block, 5_500_000n)).toEqual({ ms: 3_500, state: 'unknown' });
  });

  it('keeps the time of a block that knew it as well', () => {
    const known = { ...block, wallBaseMs: NOW_MS, clockSync: 'ntp' as const };
    const anchor = { monotonicUs: 0n, wallMs: 1, state: 'estimated' as const };
    expect(eventTime(known, 5_000_000n, anchor)).toEqual({ ms: NOW_MS, state: 'ntp' });
  });

  it('keeps the order of one block, whatever the clocks say', () => {
    const state = fc.constantFrom(...CLOCK_SYNC_STATES);
    const us = fc.bigInt(0n, 10n ** 15n);
    const ms = fc.integer({ min: -1e12, max: 4e12 });
    fc.assert(
      fc.property(state, us, ms, state, us, ms, us, us, (own, base, wall, known, at, then, a, b) => {
        const frame = { monotonicBaseUs: base, wallBaseMs: wall, clockSync: own };
        const anchor = { monotonicUs: at, wallMs: then, state: known };
        const [first, second] = [eventTime(frame, a, anchor), eventTime(frame, b, anchor)];
        expect(first.state).toBe(second.state);
        if (a < b) expect(first.ms).toBeLessThanOrEqual(second.ms);
      }),
    );
  });
});

describe('ClockAnchors', () => {
  it('knows nothing on a boot in 1970, estimates from the server, and believes the network most', async () => {
    const machine = new Machine();
    const anchors = await open(machine, await openMemoryStore({ clock: machine }));
    expect([anchors.state, anchors.anchor]).toEqual(['unknown', null]);
    machine.ms = 5_000;
    anchors.heard(NOW_MS);
    expect(anchors.anchor).toEqual({ monotonicUs: 5_000_000n, wallMs: NOW_MS, state: 'estimated' });
    // The clock itself is still wrong: blocks must not claim otherwise.
    expect(anchors.state).toBe('unknown');
    machine.wall = NOW_MS - 5_000 + 1_500;
    expect(anchors.state).toBe('estimated');
    machine.isSynchronized = true;
    machine.ms = 20_000;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(anchors.state).toBe('ntp');
    expect(anchors.anchor).toMatchObject({ wallMs: machine.wallMs(), state: 'ntp' });
    anchors.heard(1);
    expect(anchors.anchor?.state).toBe('ntp');
  });

  it('makes a new anchor when the clock is set, none while it only drifts', async () => {
    const machine = new Machine();
    machine.isSynchronized = true;
    machine.wall = NOW_MS;
    const anchors = await open(machine, await openMemoryStore({ clock: machine }));
    const first = anchors.anchor;
    machine.ms = 10_000;
    machine.wall += 400;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(anchors.anchor).toEqual(first);
    machine.wall += 3_600_000;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(anchors.anchor?.wallMs).toBe(machine.wallMs());
  });

  it('is known to the next run of the same boot, and not to another boot', async () => {
    const machine = new Machine();
    const store = await openMemoryStore({ clock: machine });
    (await open(machine, store)).heard(NOW_MS);
    expect((await open(machine, store)).anchor?.wallMs).toBe(NOW_MS);
    expect((await open(machine, store, new Uint8Array(16))).anchor).toBeNull();
  });
});
