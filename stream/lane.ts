// Exactly once per lane: which ordinals are new, and whether two sides still talk about the same records.
// A run is one opening of a gateway's log. Ordinals that a restored disk uses again belong to another run.
import { assert } from './errors.ts';
import { LANE_RUNS_MAX } from './limits.ts';

export interface LaneRun {
  /** Hex of the run id in the block ids. */
  readonly run: string;
  readonly firstOrdinal: bigint;
}

export interface LaneHistory {
  /** 0 = nothing yet. */
  readonly last: bigint;
  /** Ascending; run i ends where run i + 1 starts. */
  readonly runs: readonly LaneRun[];
}

export type Offer =
  | { readonly kind: 'next' }
  | { readonly kind: 'duplicate' }
  /** The first `skip` records are stored already. */
  | { readonly kind: 'overlap'; readonly skip: number }
  | { readonly kind: 'gap'; readonly have: bigint };

/** How ordinals first..last stand to what is stored. */
export function judgeOffer(storedLast: bigint, first: bigint, last: bigint): Offer {
  assert(first >= 1n && last >= first, 'ordinals start at 1 and ascend');
  if (first === storedLast + 1n) return { kind: 'next' };
  if (first > storedLast) return { kind: 'gap', have: storedLast };
  if (last <= storedLast) return { kind: 'duplicate' };
  return { kind: 'overlap', skip: Number(storedLast - first + 1n) };
}

/** Last ordinal up to which both histories are the same records; 0 = nothing in common. */
export function commonOrdinal(ours: LaneHistory, theirs: LaneHistory): bigint {
  let common = 0n;
  for (const run of ours.runs) {
    const same = theirs.runs.find((other) => other.run === run.run);
    if (same === undefined) continue;
    const end = smaller(runEnd(ours, run), runEnd(theirs, same));
    // A side that lost the start of a run knows it from a later ordinal on.
    if (end >= run.firstOrdinal && end >= same.firstOrdinal && end > common) common = end;
  }
  return common;
}

/** The history after records first.. of `run` up to `last`. The oldest runs are forgotten beyond `runsMax`. */
export function extendHistory(
  history: LaneHistory,
  run: string,
  first: bigint,
  last: bigint,
  runsMax = LANE_RUNS_MAX,
): LaneHistory {
  const newest = history.runs.at(-1);
  const runs = newest?.run === run ? history.runs : [...history.runs, { run, firstOrdinal: first }];
  return { last, runs: runs.slice(-runsMax) };
}

/** Run that wrote an ordinal, undefined when it is not remembered. */
export function runAt(history: LaneHistory, ordinal: bigint): string | undefined {
  return history.runs.findLast((run) => run.firstOrdinal <= ordinal)?.run;
}

function runEnd(history: LaneHistory, run: LaneRun): bigint {
  const next = history.runs.find((other) => other.firstOrdinal > run.firstOrdinal);
  return next === undefined ? history.last : next.firstOrdinal - 1n;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
