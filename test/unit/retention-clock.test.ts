// Goal: nothing is deleted by a clock that was wrong for a while, and everything is by one that is right.
import { describe, expect, it } from 'vitest';
import { RetentionClock } from '../../storage/lmdb/retention-clock.ts';

const START_MS = 1_767_225_600_000;
const DAY_MS = 24 * 3_600_000;
const MINUTE_MS = 60_000;

function clocks(trustedMs = START_MS) {
  const time = { wallMs: START_MS, monotonicMs: 0 };
  const clock = { wallMs: () => time.wallMs, monotonicUs: () => BigInt(time.monotonicMs) * 1_000n };
  const pass = (ms: number): void => {
    time.wallMs += ms;
    time.monotonicMs += ms;
  };
  return { time, pass, retention: new RetentionClock(clock, trustedMs) };
}

describe('the clock of retention', () => {
  it('follows a clock that goes on, and small steps', () => {
    const { time, pass, retention } = clocks();
    pass(DAY_MS);
    expect(retention.nowMs()).toBe(START_MS + DAY_MS);
    time.wallMs += MINUTE_MS;
    expect(retention.nowMs()).toBe(START_MS + DAY_MS + MINUTE_MS);
  });

  it('does not follow one that jumps years ahead for a minute', () => {
    const { time, pass, retention } = clocks();
    time.wallMs += 3_650 * DAY_MS;
    expect(retention.nowMs()).toBe(START_MS);
    pass(MINUTE_MS);
    expect(retention.nowMs()).toBe(START_MS + MINUTE_MS);
    time.wallMs -= 3_650 * DAY_MS;
    expect(retention.nowMs()).toBe(START_MS + MINUTE_MS);
  });

  it('follows one that stays ahead for an hour', () => {
    const { time, pass, retention } = clocks();
    time.wallMs += 10 * DAY_MS;
    retention.nowMs();
    pass(59 * MINUTE_MS);
    expect(retention.nowMs()).toBe(START_MS + 59 * MINUTE_MS);
    pass(2 * MINUTE_MS);
    expect(retention.nowMs()).toBe(START_MS + 10 * DAY_MS + 61 * MINUTE_MS);
  });

  it('starts the hour anew when the clock jumps again', () => {
    const { time, pass, retention } = clocks();
    for (let jump = 0; jump < 5; jump += 1) {
      time.wallMs += 10 * DAY_MS;
      retention.nowMs();
      pass(59 * MINUTE_MS);
    }
    expect(retention.nowMs()).toBe(START_MS + 5 * 59 * MINUTE_MS);
  });

  it('follows one that is set back at once: that deletes less', () => {
    const { time, retention } = clocks();
    time.wallMs -= 10 * DAY_MS;
    expect(retention.nowMs()).toBe(START_MS - 10 * DAY_MS);
  });

  it('waits after a start as long as after a jump: the clock may be wrong from the first moment on', () => {
    const { pass, retention } = clocks(START_MS - 30 * DAY_MS);
    expect(retention.nowMs()).toBe(START_MS - 30 * DAY_MS);
    pass(61 * MINUTE_MS);
    expect(retention.nowMs()).toBe(START_MS + 61 * MINUTE_MS);
  });
});
