// What a gateway's store says of its lanes beside their blocks, for people.
import {
  CURSOR_PREFIX,
  EVICTED_PREFIX,
  INCARNATION_PREFIX,
  RUNS_PREFIX,
  decodeIncarnation,
  decodeRuns,
} from './lane-row.ts';

export interface LaneStateShown {
  readonly incarnation: string | null;
  readonly base: string | null;
  readonly acknowledged: string | null;
  readonly evictedRecords: string | null;
  readonly runs: readonly { readonly run: string; readonly firstOrdinal: string }[];
}

export type LaneStates = Readonly<Record<string, LaneStateShown>>;

export const LANE_STATE_PREFIXES = [RUNS_PREFIX, INCARNATION_PREFIX, CURSOR_PREFIX, EVICTED_PREFIX];

/** `meta`: the entries with those prefixes. By lane. */
export function laneStatesOf(meta: Readonly<Record<string, string>>): LaneStates {
  const entries = new Map(Object.entries(meta));
  const lanes = [...entries.keys()].flatMap((key) => {
    const prefix = LANE_STATE_PREFIXES.find((candidate) => key.startsWith(candidate));
    return prefix === undefined ? [] : [key.slice(prefix.length)];
  });
  return Object.fromEntries([...new Set(lanes)].map((lane) => [lane, stateOf(lane, entries)]));
}

function stateOf(lane: string, entries: ReadonlyMap<string, string>): LaneStateShown {
  const incarnation = decoded(entries.get(INCARNATION_PREFIX + lane), decodeIncarnation);
  const runs = decoded(entries.get(RUNS_PREFIX + lane), decodeRuns) ?? [];
  return {
    incarnation: incarnation?.id ?? null,
    base: incarnation?.base.toString() ?? null,
    acknowledged: entries.get(CURSOR_PREFIX + lane) ?? null,
    evictedRecords: entries.get(EVICTED_PREFIX + lane) ?? null,
    runs: runs.map(({ run, firstOrdinal }) => ({ run, firstOrdinal: firstOrdinal.toString() })),
  };
}

/** The file may be damaged. */
function decoded<T>(text: string | undefined, decode: (value: Uint8Array) => T): T | null {
  try {
    return text === undefined ? null : decode(Buffer.from(text));
  } catch {
    return null;
  }
}
