// Where a lane ends in a salvaged shard. What it says must be what is there: if it said more, what gateways send again
// would be dropped as known; if it said less, it would be stored twice.
import { decodeLaneTag, encodeLaneTag } from '../../stream/lane-tag.ts';
import type { LaneTag } from '../../stream/lane-tag.ts';
import { LANE_RUNS_MAX } from '../../stream/limits.ts';
import type { LaneRun } from '../../stream/lane.ts';
import { positionParts } from '../../stream/position.ts';
import type { LaneState } from '../../stream/ports.ts';
import type { FoundBlock } from './salvage-shard.ts';
import { positionAt } from '../lmdb/shard-epochs.ts';
import type { ShardRow } from '../lmdb/shard-row.ts';
import { laneHash } from '../lmdb/stored-block.ts';

export interface LaneEnd {
  readonly commit: bigint;
  readonly last: bigint;
  readonly recordCount: number;
  /** The newest runs that are seen in the blocks. */
  readonly runs: readonly LaneRun[];
}

/** The newest kept blocks of each lane of a shard, as its blocks are passed in order. */
export class LaneEnds {
  readonly #byHash = new Map<bigint, LaneEnd>();
  /** Of blocks that do not name their lane, by what can be told of it. */
  readonly #byRun = new Map<string, LaneEnd>();

  pass(block: FoundBlock): void {
    const { envelope, laneHash: hash, class: recordClass, run, firstOrdinal } = block;
    if (envelope.isLost || hash === 0n || firstOrdinal === null) return;
    const first = { run, firstOrdinal };
    if (hash !== null) this.#byHash.set(hash, endOf(block, first, this.#byHash.get(hash)));
    else if (recordClass !== null) this.#byRun.set(runKey(recordClass, run), endOf(block, first));
  }

  /** Null when no block of the lane is kept. */
  of(lane: string, tag: LaneTag | null): LaneEnd | null {
    const named = this.#byHash.get(laneHash(lane)) ?? null;
    if (named !== null || tag === null) return named;
    // The name of a lane is gateway/stream/class/incarnation.
    const recordClass = lane.split('/').at(-2) ?? '';
    const ends = tag.runs.flatMap(({ run, firstOrdinal }) => {
      const end = this.#byRun.get(runKey(recordClass, run));
      return end !== undefined && end.last >= firstOrdinal ? [end] : [];
    });
    return ends.toSorted((a, b) => Number(a.commit - b.commit)).at(-1) ?? null;
  }
}

/**
 * `state` as it was found, perhaps an old one. `isKept`: whether the block at a commit of the shard is. Null: nothing of
 * the lane is here any more.
 */
export function laneAfter(
  lane: string,
  state: LaneState,
  row: ShardRow,
  ends: LaneEnds,
  isKept: (commit: bigint) => boolean,
): LaneState | null {
  const { commit } = positionParts(state.position);
  const tag = tagOf(state.tag);
  const end = ends.of(lane, tag);
  if (end !== null && end.commit > commit && end.last > state.last) return ended(state, end, row, tag);
  // The row says something else than the block it speaks of.
  if (end !== null && end.commit === commit && end.last !== state.last) return ended(state, end, row, tag);
  // What was trimmed is not lost, nor is what a closed parent had.
  if (commit < row.first || isKept(commit)) return state;
  return end === null ? null : ended(state, end, row, tag);
}

function ended(state: LaneState, end: LaneEnd, row: ShardRow, tag: LaneTag | null): LaneState {
  const position = positionAt(row.epochs, end.commit, end.recordCount - 1);
  if (tag === null) return { last: end.last, position, tag: state.tag };
  const known = tag.runs.filter(({ firstOrdinal }) => firstOrdinal <= end.last);
  const newest = known.at(-1)?.firstOrdinal ?? 0n;
  const isKnown = (run: LaneRun): boolean => known.some((one) => one.run === run.run);
  const seen = end.runs.filter((run) => run.firstOrdinal > newest && !isKnown(run));
  // The fingerprint is of another record: none means that nobody can tell.
  const runs = [...known, ...seen].slice(-LANE_RUNS_MAX);
  return { last: end.last, position, tag: encodeLaneTag({ runs, fingerprint: null }) };
}

function endOf({ commit, envelope }: FoundBlock, first: LaneRun, before?: LaneEnd): LaneEnd {
  const { recordCount } = envelope;
  const runs = before?.runs ?? [];
  const isSame = runs.at(-1)?.run === first.run;
  return {
    commit,
    recordCount,
    last: first.firstOrdinal + BigInt(recordCount) - 1n,
    runs: isSame ? runs : [...runs, first].slice(-LANE_RUNS_MAX),
  };
}

/** Null when it is none of ours: the engine keeps what it is given. */
function tagOf(tag: Uint8Array): LaneTag | null {
  try {
    return decodeLaneTag(tag);
  } catch {
    return null;
  }
}

function runKey(recordClass: string, run: string): string {
  return `${recordClass}/${run}`;
}
