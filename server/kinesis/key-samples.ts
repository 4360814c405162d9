// Which keys a shard's traffic is made of: a sample by bytes of what was written last, from which follow the hottest keys
// and where to split the shard so that each half gets as much.
import { rangeHas } from '../../stream/hash-range.ts';
import type { HashRange } from '../../stream/hash-range.ts';

/** One sample for so many bytes: some seconds of a busy shard, and a few records of a quiet one. */
const SAMPLE_BYTES = 8 * 1024;
const SAMPLES_MAX = 512;
/** Every record counts for as much at least: what a shard carries is limited by records, too. */
const RECORD_BYTES_MIN = 1024;

interface Sample {
  readonly key: string;
  readonly hashKey: bigint;
}

export interface HotKey {
  readonly key: string;
  /** Of the shard's traffic, 0..1. */
  readonly share: number;
}

export class KeySamples {
  readonly #samples: Sample[] = [];
  #place = 0;
  #bytes = 0;

  /** How many samples what was just written of one key makes: mostly none, several for a large record or a block. */
  due(bytes: number): number {
    this.#bytes += Math.max(bytes, RECORD_BYTES_MIN);
    if (this.#bytes < SAMPLE_BYTES) return 0;
    const count = Math.floor(this.#bytes / SAMPLE_BYTES);
    this.#bytes %= SAMPLE_BYTES;
    return Math.min(count, SAMPLES_MAX);
  }

  add(key: string, hashKey: bigint, count: number): void {
    for (let added = 0; added < count; added += 1) {
      this.#samples[this.#place] = { key, hashKey };
      this.#place = (this.#place + 1) % SAMPLES_MAX;
    }
  }

  get count(): number {
    return this.#samples.length;
  }

  /** Hottest first. */
  hottest(count: number): HotKey[] {
    const counts = new Map<string, number>();
    for (const { key } of this.#samples) counts.set(key, (counts.get(key) ?? 0) + 1);
    return [...counts]
      .toSorted((a, b) => b[1] - a[1])
      .slice(0, count)
      .map(([key, samples]) => ({ key, share: samples / this.#samples.length }));
  }

  splitPoint(range: HashRange): bigint | null {
    return splitPoint(
      range,
      this.#samples.map(({ hashKey }) => hashKey),
    );
  }
}

/**
 * The start of the upper half of `range` that divides the samples most evenly; null when no split divides them: all of
 * one key. Ties go to the point nearest to the middle of the range.
 */
export function splitPoint(range: HashRange, samples: readonly bigint[]): bigint | null {
  const inside = samples.filter((key) => rangeHas(range, key)).toSorted(compare);
  const middle = range.start + (range.end - range.start) / 2n + 1n;
  let best: { at: bigint; uneven: number; off: bigint } | null = null;
  let below = 0;
  // Between two keys that follow each other every point divides the same: the one nearest to the middle is taken.
  for (let place = 1; place < inside.length; place += 1) {
    const [lower, upper] = [inside[place - 1] ?? 0n, inside[place] ?? 0n];
    below += 1;
    if (lower === upper) continue;
    const at = clamp(middle, larger(lower + 1n, range.start + 2n), smaller(upper, range.end - 1n));
    if (at === null) continue;
    const uneven = Math.abs(inside.length - 2 * below);
    const off = at < middle ? middle - at : at - middle;
    if (best === null || uneven < best.uneven || (uneven === best.uneven && off < best.off))
      best = { at, uneven, off };
  }
  return best?.at ?? null;
}

function clamp(value: bigint, low: bigint, high: bigint): bigint | null {
  if (low > high) return null;
  return smaller(larger(value, low), high);
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}
