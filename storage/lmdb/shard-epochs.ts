// Which epoch a commit's positions are of. A shard that was salvaged or restored goes on in a new epoch: what is kept
// keeps its positions, and none is given twice.
import { positionParts, toPosition } from '../../stream/position.ts';
import type { Position } from '../../stream/position.ts';

/** Commits from `commit` on, up to the next start, are of this epoch. */
export interface EpochStart {
  readonly commit: bigint;
  readonly epoch: bigint;
}

/** Where a position lies: at `commit`, or behind everything of its epoch, whose end is `commit`. */
export interface Place {
  readonly commit: bigint;
  readonly isInside: boolean;
}

export function epochAt(epochs: readonly EpochStart[], commit: bigint): bigint {
  const start = epochs.findLast((candidate) => candidate.commit <= commit) ?? epochs[0];
  return start?.epoch ?? 1n;
}

export function positionAt(epochs: readonly EpochStart[], commit: bigint, index: number): Position {
  return toPosition(epochAt(epochs, commit), commit, index);
}

/** `next`: the commit behind the newest. A position before the first epoch is before commit 0. */
export function placeOf(epochs: readonly EpochStart[], next: bigint, position: Position): Place {
  const { epoch, commit } = positionParts(position);
  const at = epochs.findLastIndex((start) => start.epoch <= epoch);
  const start = epochs[at];
  if (start === undefined) return { commit: 0n, isInside: false };
  const end = epochs[at + 1]?.commit ?? next;
  if (start.epoch < epoch || commit >= end) return { commit: end, isInside: false };
  return commit < start.commit ? { commit: start.commit, isInside: false } : { commit, isInside: true };
}

/** The same shard, with everything from `commit` on in `epoch`; epochs nothing is kept of are forgotten. */
export function startEpoch(
  epochs: readonly EpochStart[],
  first: bigint,
  commit: bigint,
  epoch: bigint,
): readonly EpochStart[] {
  const kept = epochs.filter((start, index) => {
    const end = epochs[index + 1]?.commit ?? commit;
    return start.commit < commit && end > first;
  });
  return [...kept, { commit, epoch }];
}
