// One lane of a session at the server: which ordinals come next, counting what is under way, so that blocks are
// handed to the log without waiting for each other and many share a commit.
import { sliceBlock, runIdOf } from '../stream/block-cut.ts';
import { decodeBlock } from '../stream/block.ts';
import type { BlockHeader } from '../stream/block-header.ts';
import { TributaryError } from '../stream/errors.ts';
import { extendHistory, judgeOffer } from '../stream/lane.ts';
import type { LaneHistory } from '../stream/lane.ts';
import type { Codec, Digest } from '../stream/ports.ts';
import type { RecordClass } from '../stream/record.ts';
import { encodeLaneTag } from '../stream/lane-tag.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { IngestLane } from './ports.ts';

export interface SessionLane {
  readonly index: number;
  readonly stream: string;
  readonly class: RecordClass;
  readonly target: IngestLane;
  /** Ordinals up to here are lost to the gateway. */
  readonly from: bigint;
  /** With what is under way. */
  history: LaneHistory;
  /** Settles when the newest block is durable or refused, hence all before it. */
  newest: Promise<void>;
}

export interface Taken {
  readonly last: bigint;
  readonly records: number;
}

/**
 * Walks the whole block, then appends what the lane lacks of it. Resolves with the last ordinal that is durable now.
 * Throws BLOCK_* and CODEC_UNKNOWN for a block that lies, LANE_GAP, PROTOCOL_ERROR, and what the log throws.
 */
export function takeBlock(
  lane: SessionLane,
  block: Uint8Array,
  digest: Digest,
  codecs: readonly Codec[],
): Promise<Taken> {
  const { header, records } = decodeBlock(block, digest, codecs);
  const first = header.firstOrdinal;
  const last = first + BigInt(header.recordCount) - 1n;
  checkFrame(lane, header);
  const offer = judgeOffer(lane.history.last, first, last);
  if (offer.kind === 'gap') {
    throw new TributaryError(
      'LANE_GAP',
      `lane ${lane.index} is at ${offer.have}; the block starts at ${first}`,
      {
        details: { have: offer.have },
      },
    );
  }
  if (offer.kind === 'duplicate') return settled(lane);
  const skip = offer.kind === 'overlap' ? offer.skip : 0;
  const rest = skip === 0 ? block : sliceBlock(block, skip, digest, codecs);
  const range = { first: first + BigInt(skip), last };
  const run = Buffer.from(runIdOf(header)).toString('hex');
  lane.history = extendHistory(lane.history, run, range.first, last);
  const newest = records.at(-1);
  const fingerprint = newest === undefined ? null : fingerprintOf(newest, digest);
  return append(lane, rest, range, encodeLaneTag({ runs: lane.history.runs, fingerprint }));
}

/** Holds the block as it came until it is durable, and not what it inflates to, which may be a thousand times as much. */
async function append(
  lane: SessionLane,
  block: Uint8Array,
  { first, last }: { first: bigint; last: bigint },
  tag: Uint8Array,
): Promise<Taken> {
  const recordCount = Number(last - first) + 1;
  await lane.target.append(block, recordCount, { first, last, tag, after: lane.from });
  return { last, records: recordCount };
}

/** Known already, though perhaps not durable yet: the log's answer to the newest append comes after all before it. */
async function settled(lane: SessionLane): Promise<Taken> {
  const state = await lane.target.state();
  return { last: state?.last ?? 0n, records: 0 };
}

function checkFrame(lane: SessionLane, header: BlockHeader): void {
  if (header.firstOrdinal === 0n) throw refused(lane, 'its block has no ordinals');
  if (header.class !== lane.class)
    throw refused(lane, `its block is of class ${header.class}, not ${lane.class}`);
}

function refused(lane: SessionLane, reason: string): TributaryError {
  return new TributaryError('PROTOCOL_ERROR', `lane ${lane.index} of stream ${lane.stream}: ${reason}`);
}
