// Arrival times of a shard: never decreasing within a segment, and a new segment when the clock was set back far,
// so that one jump to 2099 neither freezes the times behind it nor keeps records for ever.
import { CLOCK_STEP_CLAMP_MS } from '../stream/limits.ts';

export interface TimeSegment {
  /** First commit whose arrival belongs to the segment. */
  readonly commit: bigint;
  readonly startMs: number;
}

export interface Arrival {
  readonly arrivalMs: number;
  /** Set when this commit opens a segment. */
  readonly segment: TimeSegment | null;
}

/** The arrival of `commit` at `nowMs`, after a commit that arrived at `lastMs` (null: none). */
export function nextArrival(lastMs: number | null, nowMs: number, commit: bigint): Arrival {
  if (lastMs === null || lastMs - nowMs > CLOCK_STEP_CLAMP_MS) {
    return { arrivalMs: nowMs, segment: { commit, startMs: nowMs } };
  }
  return { arrivalMs: Math.max(lastMs, nowMs), segment: null };
}

/**
 * The arrival that retention goes by: no later than the start of any segment behind it. So it never decreases from
 * block to block, however often the clock was set back.
 */
export function effectiveArrival(
  segments: readonly TimeSegment[],
  commit: bigint,
  arrivalMs: number,
): number {
  let effectiveMs = arrivalMs;
  for (const segment of segments) {
    if (segment.commit > commit) effectiveMs = Math.min(effectiveMs, segment.startMs);
  }
  return effectiveMs;
}

/** The segments that blocks from `first` on belong to. */
export function segmentsFrom(segments: readonly TimeSegment[], first: bigint): readonly TimeSegment[] {
  const start = segments.findLastIndex((segment) => segment.commit <= first);
  return start <= 0 ? segments : segments.slice(start);
}
