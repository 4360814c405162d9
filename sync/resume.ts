// Where a lane goes on after both sides have compared what they have. Pure: the uplink acts on the answer.
import { commonOrdinal } from '../stream/lane.ts';
import type { LaneHistory } from '../stream/lane.ts';
import { LANE_RUNS_MAX } from '../stream/limits.ts';

export interface ServerLane extends LaneHistory {
  /** False when both have the last record's ordinal but not the same record; true also when nobody can tell. */
  readonly lastMatches: boolean;
}

export type Resume =
  /** The next record to send is behind `after`. */
  | { readonly kind: 'resume'; readonly after: bigint }
  /** The server holds records that are not ours under our ordinals: what follows needs names of its own. */
  | { readonly kind: 'fork'; readonly base: bigint };

/**
 * `from`: records up to it cannot be sent, because they belong to an earlier incarnation or are not kept any more.
 * A server that knows nothing of the lane starts there. `acknowledged`: what the server once had.
 */
export function decideResume(ours: LaneHistory, from: bigint, theirs: ServerLane, acknowledged = 0n): Resume {
  if (theirs.last <= from && theirs.runs.length === 0) return { kind: 'resume', after: from };
  const common = larger(sharedOrdinal(ours, theirs), forgottenOrdinal(theirs, acknowledged));
  if (common < theirs.last) return { kind: 'fork', base: larger(common, from) };
  return { kind: 'resume', after: larger(theirs.last, from) };
}

/** By the runs; and where they see no difference, by the last record itself. */
function sharedOrdinal(ours: LaneHistory, theirs: ServerLane): bigint {
  const common = commonOrdinal(ours, theirs);
  if (common < theirs.last || theirs.lastMatches) return common;
  // Within the newest run nothing tells where the histories part, so all of it counts as foreign.
  return (theirs.runs.at(-1)?.firstOrdinal ?? 1n) - 1n;
}

/** The server remembers the newest runs only: what it once acknowledged of those before is the same on both sides. */
function forgottenOrdinal({ runs }: LaneHistory, acknowledged: bigint): bigint {
  const oldest = runs[0];
  if (oldest === undefined || runs.length < LANE_RUNS_MAX) return 0n;
  const before = oldest.firstOrdinal - 1n;
  return before < acknowledged ? before : acknowledged;
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
