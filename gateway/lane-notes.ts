// The notes beside the newest blocks of a lane: read back from the end until what is read is enough to know a repeat by.
import type { ShardLog } from '../stream/ports.ts';
import { tailByBytes } from './lane-cut.ts';
import type { LocalLane } from './local-lane.ts';

export interface LaneNote {
  readonly arrivalMs: number;
  /** A copy: the block it lay beside is not kept in memory by it. */
  readonly note: Uint8Array;
}

/** Records looked back over: of a busy lane the last moments, of a quiet one hours. */
const RECORDS_MAX = 20_000;
/** Bytes of blocks read for it at most. */
const BYTES_MAX = 16 * 1024 * 1024;
const PAGE = { blocks: 256, bytes: 1024 * 1024 };

/** Oldest first. */
export async function recentNotesOf(lane: LocalLane, log: ShardLog): Promise<LaneNote[]> {
  const byCount = lane.history.last - BigInt(RECORDS_MAX) + 1n;
  const byBytes = await tailByBytes(lane, log, BYTES_MAX);
  const notes: LaneNote[] = [];
  let next = await log.seekOrdinal(lane.ref, byCount > byBytes ? byCount : byBytes);
  for (;;) {
    const page = await log.readBlocks(lane.ref, next, PAGE);
    if (page.blocks.length === 0) return notes;
    for (const { arrivalMs, note } of page.blocks) {
      if (note.length > 0) notes.push({ arrivalMs, note: Uint8Array.from(note) });
    }
    next = page.next;
  }
}
