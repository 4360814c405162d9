// What the recorded programs say: after each promise a line with everything that is promised by then, and everything that
// was asked for by then. A power cut between two lines must leave at least what the first promises, and nothing beyond
// what the second asked for.
import { openSync, writeSync } from 'node:fs';
import type { LmdbLayout } from '../../../storage/lmdb/lmdb-store.ts';

export interface LaneSaid {
  /** Last ordinal that was acknowledged, and the last that was handed over. */
  readonly acknowledged: number;
  readonly submitted: number;
  /** Oldest record that was not trimmed. */
  readonly firstKept: number;
  /** What the server has. */
  readonly cursor: number;
}

/** Of the layout perShard, by stream and class. */
export interface LanesSaid {
  readonly kind: 'lanes';
  readonly lanes: Readonly<Record<string, LaneSaid>>;
}

/** In the order they are lived through; every second one is promised, the one before it only asked for. */
export const SHARD_STATES = ['creating', 'open', 'closing', 'closed', 'dropping', 'dropped'] as const;
export type ShardState = (typeof SHARD_STATES)[number];

export interface ShardSaid {
  readonly state: ShardState;
  /** Commit of the oldest block that was neither trimmed nor has expired. */
  readonly firstCommit: number;
  /** Every position is greater, as text. */
  readonly after: string;
  readonly lanes: Readonly<Record<string, ShardLaneSaid>>;
}

export interface ShardLaneSaid {
  /** Last ordinal of the parent. */
  readonly inherited: number;
  readonly acknowledged: number;
  readonly submitted: number;
}

/** By shard. */
export interface ShardsSaid {
  readonly kind: 'shards';
  readonly layout: LmdbLayout;
  readonly nowMs: number;
  readonly shards: Readonly<Record<string, ShardSaid>>;
}

/** Of a gateway and one publisher: how many of its readings were acknowledged. */
export interface ReadingsSaid {
  readonly kind: 'readings';
  readonly acknowledged: number;
}

export type Said = LanesSaid | ShardsSaid | ReadingsSaid;

/** Each line is one call of the kernel, so that it has its place among the writes to the disk. */
export function openSaid(path: string): (said: Said) => void {
  const file = openSync(path, 'w');
  return (said) => void writeSync(file, `${JSON.stringify(said)}\n`);
}
