// Where a lane goes on after both sides have compared what they have. Pure: the uplink acts on the answer.
import { commonOrdinal } from '../stream/lane.ts';
import type { LaneHistory } from '../stream/lane.ts';

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
 * A server that knows nothing of the lane starts there.
 */
export function decideResume(ours: LaneHistory, from: bigint, theirs: ServerLane): Resume {
  if (theirs.last <= from && theirs.runs.length === 0) return { kind: 'resume', after: from };
  const common = theirs.lastMatches ? commonOrdinal(ours, theirs) : beforeLastRun(theirs);
  if (common < theirs.last) return { kind: 'fork', base: common > from ? common : from };
  return { kind: 'resume', after: theirs.last > from ? theirs.last : from };
}

/** Within the newest run nothing tells where the histories part, so all of it counts as foreign. */
function beforeLastRun({ runs }: LaneHistory): bigint {
  const newest = runs.at(-1);
  return newest === undefined ? 0n : newest.firstOrdinal - 1n;
}
