// Goal: a shard is split where its traffic is halved, or not at all. Method: generated samples, compared with every
// possible point.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeySamples, splitPoint } from '../../server/kinesis/key-samples.ts';

describe('the split point', () => {
  it('divides as evenly as any point does, inside the bounds of a split', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 40n }),
        fc.bigInt({ min: 3n, max: 60n }),
        fc.array(fc.bigInt({ min: 0n, max: 110n }), { maxLength: 60 }),
        (start, width, samples) => {
          const range = { start, end: start + width };
          const inside = samples.filter((key) => key >= range.start && key <= range.end);
          const unevenAt = (at: bigint): number => {
            const below = inside.filter((key) => key < at).length;
            return below === 0 || below === inside.length ? Infinity : Math.abs(inside.length - 2 * below);
          };
          let best = Infinity;
          for (let at = range.start + 2n; at < range.end; at += 1n) best = Math.min(best, unevenAt(at));
          const at = splitPoint(range, samples);
          if (at === null) {
            expect(best).toBe(Infinity);
            return;
          }
          expect(at > range.start + 1n && at < range.end).toBe(true);
          expect(unevenAt(at)).toBe(best);
        },
      ),
    );
  });
});

describe('samples', () => {
  it('weigh keys by their bytes, in blocks or one by one', () => {
    const samples = new KeySamples();
    for (let round = 0; round < 20; round += 1) {
      samples.add('lane', 1n, samples.due(64 * 1024));
      for (let record = 0; record < 64; record += 1) samples.add('device', 2n, samples.due(1024));
    }
    const shares = Object.fromEntries(samples.hottest(2).map(({ key, share }) => [key, share]));
    expect(shares['lane']).toBeCloseTo(0.5, 1);
    expect(shares['device']).toBeCloseTo(0.5, 1);
  });
});
