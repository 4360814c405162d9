// Goal: a rate gives its burst, then its pace, and never more. Method: a clock that the test turns.
import { describe, expect, it } from 'vitest';
import { TokenBucket, perSecond } from '../../runtime/token-bucket.ts';

describe('a token bucket', () => {
  it('gives its burst at once, then as many as come', () => {
    const bucket = new TokenBucket({ perSecond: 5, burst: 5 }, 0);
    for (let count = 0; count < 5; count += 1) expect(bucket.take(1, 0)).toBe(true);
    expect(bucket.take(1, 0)).toBe(false);
    expect(bucket.take(1, 199)).toBe(false);
    expect(bucket.take(1, 200)).toBe(true);
    expect(bucket.take(1, 200)).toBe(false);
  });

  it('saves up no more than its burst', () => {
    const bucket = new TokenBucket({ perSecond: 5, burst: 5 }, 0);
    expect(bucket.take(5, 1_000_000)).toBe(true);
    expect(bucket.take(1, 1_000_000)).toBe(false);
  });

  it('gives more than it holds only when it is full, and owes it', () => {
    const bucket = new TokenBucket(perSecond(1_000), 0);
    expect(bucket.take(3_000, 0)).toBe(true);
    expect(bucket.take(1, 1_999)).toBe(false);
    expect(bucket.take(1, 2_001)).toBe(true);
    expect(bucket.take(3_000, 2_900)).toBe(false);
    expect(bucket.take(3_000, 3_002)).toBe(true);
  });

  it('tells how long what was spent beyond it takes to earn', () => {
    const bucket = new TokenBucket(perSecond(1_000), 0);
    bucket.spend(600, 0);
    expect(bucket.waitMs(0)).toBe(0);
    bucket.spend(600, 0);
    expect(bucket.waitMs(0)).toBe(200);
    bucket.spend(5_000, 200);
    expect(bucket.waitMs(200)).toBe(5_000);
    bucket.spend(1_000, 100_000);
    expect(bucket.waitMs(100_000)).toBe(0);
  });

  it('without a bound gives everything', () => {
    const bucket = new TokenBucket(perSecond(Infinity), 0);
    expect(bucket.take(1e12, 0)).toBe(true);
    bucket.spend(1e12, 0);
    expect(bucket.take(1e12, 0)).toBe(true);
  });
});
