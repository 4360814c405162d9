// Cutting blocks differently without changing a record: what the uplink merges and the server slices on a resend.
import { decodeBlock, encodeBlock } from './block.ts';
import { assert } from './errors.ts';
import { RUN_ID_BYTES } from './block-header.ts';
import type { BlockHeader } from './block-header.ts';
import { BLOCK_RECORDS_MAX } from './limits.ts';
import type { Codec, Digest } from './ports.ts';

const AS_IS: Recoding = { from: [], to: undefined };

/** May `next` stand in one block with `block`? Same lane order, run, boot and class, and the count fits. */
export function canMerge(block: BlockHeader, next: BlockHeader): boolean {
  return (
    block.class === next.class &&
    block.firstOrdinal !== 0n &&
    block.firstOrdinal + BigInt(block.recordCount) === next.firstOrdinal &&
    block.recordCount + next.recordCount <= BLOCK_RECORDS_MAX &&
    sameBytes(block.bootId, next.bootId) &&
    sameBytes(runIdOf(block), runIdOf(next))
  );
}

/** The codecs a block may come in, and the one it is written with; undefined: as is. */
export interface Recoding {
  readonly from: readonly Codec[];
  readonly to: Codec | undefined;
}

/** One block of the records of all, under the first one's id. The caller has asked canMerge of each pair. */
export function mergeBlocks(
  blocks: readonly Uint8Array[],
  digest: Digest,
  { from, to }: Recoding = AS_IS,
): Uint8Array {
  const parts = blocks.map((block) => decodeBlock(block, digest, from));
  const first = parts[0];
  assert(first !== undefined, 'a merge has blocks');
  const records = parts.flatMap((part) => part.records);
  return encodeBlock(first.header, records, digest, to);
}

/** The records from `index` on as a block of their own, with the same codec; what a lane still lacks of a resent block. */
export function sliceBlock(
  block: Uint8Array,
  index: number,
  digest: Digest,
  codecs: readonly Codec[] = [],
): Uint8Array {
  const { header, records } = decodeBlock(block, digest, codecs, index);
  const frame = { ...header, firstOrdinal: header.firstOrdinal + BigInt(index) };
  const codec = codecs.find(({ id }) => id === header.codec);
  return encodeBlock(frame, records, digest, codec);
}

/** The run that wrote the block: what tells a resend from re-used ordinals. */
export function runIdOf(header: Pick<BlockHeader, 'blockId'>): Uint8Array {
  return header.blockId.subarray(0, RUN_ID_BYTES);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
