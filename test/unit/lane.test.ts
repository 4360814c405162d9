// Goal: nothing is taken twice and nothing is taken for what it is not. Method: the histories of restored disks.
import { describe, expect, it } from 'vitest';
import { commonOrdinal, extendHistory, judgeOffer, runAt } from '../../stream/lane.ts';
import type { LaneHistory } from '../../stream/lane.ts';

const NOTHING: LaneHistory = { last: 0n, runs: [] };
const history = (...parts: [string, bigint, bigint][]): LaneHistory =>
  parts.reduce((known, [run, first, last]) => extendHistory(known, run, first, last), NOTHING);

describe('lane', () => {
  it('accepts exactly the next ordinals', () => {
    expect(judgeOffer(10n, 11n, 20n)).toEqual({ kind: 'next' });
    expect(judgeOffer(10n, 3n, 10n)).toEqual({ kind: 'duplicate' });
    expect(judgeOffer(10n, 8n, 12n)).toEqual({ kind: 'overlap', skip: 3 });
    expect(judgeOffer(10n, 12n, 12n)).toEqual({ kind: 'gap', have: 10n });
  });

  it('finds the fork of a restored disk that wrote on', () => {
    const server = history(['a', 1n, 80n], ['b', 81n, 150n]);
    const restored = history(['a', 1n, 80n], ['b', 81n, 100n], ['c', 101n, 120n]);
    expect(commonOrdinal(restored, server)).toBe(100n);
    expect(commonOrdinal(server, restored)).toBe(100n);
  });

  it('finds everything in common when the other side only lags', () => {
    expect(commonOrdinal(history(['a', 1n, 80n], ['b', 81n, 90n]), history(['a', 1n, 70n]))).toBe(70n);
  });

  it('finds nothing in common with a stranger', () => {
    expect(commonOrdinal(history(['a', 1n, 80n]), history(['z', 1n, 90n]))).toBe(0n);
  });

  it('knows who wrote an ordinal', () => {
    const known = history(['a', 1n, 80n], ['b', 81n, 150n]);
    expect([runAt(known, 80n), runAt(known, 81n), runAt(NOTHING, 1n)]).toEqual(['a', 'b', undefined]);
  });
});
