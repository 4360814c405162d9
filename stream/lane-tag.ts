// What the server remembers of a lane beside its last ordinal: which runs wrote it, and the last record's fingerprint.
import { viewOf } from './block-header.ts';
import { assert } from './errors.ts';
import type { LaneRun } from './lane.ts';
import { LANE_TAG_BYTES_MAX } from './limits.ts';

export interface LaneTag {
  readonly runs: readonly LaneRun[];
  /** CRC-32 of the last record's key and data; null: unknown. */
  readonly fingerprint: number | null;
}

export const EMPTY_TAG: LaneTag = { runs: [], fingerprint: null };

const VERSION = 1;
const HEAD_BYTES = 6;
const ID_BYTES = 8;
const RUN_BYTES = 16;

/** u8 version, u8 has fingerprint, u32 fingerprint, then per run 8 bytes of id and the u64 first ordinal. */
export function encodeLaneTag(tag: LaneTag): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES + RUN_BYTES * tag.runs.length);
  const view = viewOf(bytes);
  view.setUint8(0, VERSION);
  view.setUint8(1, tag.fingerprint === null ? 0 : 1);
  view.setUint32(2, tag.fingerprint ?? 0);
  for (const [index, { run, firstOrdinal }] of tag.runs.entries()) {
    const at = HEAD_BYTES + RUN_BYTES * index;
    view.setBigUint64(at, BigInt(`0x${run}`));
    view.setBigUint64(at + ID_BYTES, firstOrdinal);
  }
  assert(bytes.length <= LANE_TAG_BYTES_MAX, 'a lane tag is bounded');
  return bytes;
}

/** Reads what encodeLaneTag wrote; tags come from our own disk only. */
export function decodeLaneTag(tag: Uint8Array): LaneTag {
  assert(tag.length >= HEAD_BYTES && tag[0] === VERSION, 'a lane tag has version 1');
  const view = viewOf(tag);
  const runs: LaneRun[] = [];
  for (let at = HEAD_BYTES; at + RUN_BYTES <= tag.length; at += RUN_BYTES) {
    const run = view
      .getBigUint64(at)
      .toString(16)
      .padStart(2 * ID_BYTES, '0');
    runs.push({ run, firstOrdinal: view.getBigUint64(at + ID_BYTES) });
  }
  return { runs, fingerprint: tag[1] === 1 ? view.getUint32(2) : null };
}
