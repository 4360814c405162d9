// Is a stored block what it was when it was written? The one check of everybody who verifies or salvages.
import { parseHeader } from '../../stream/block-header.ts';
import { checkBlock, decodeBlock } from '../../stream/block.ts';
import { checkSealed, isSealed, parseSealed } from '../seal/sealed-block.ts';
import type { SealedHead } from '../seal/sealed-block.ts';
import type { Codec, Digest } from '../../stream/ports.ts';

export interface CheckedBlock {
  readonly recordCount: number;
}

/**
 * Throws BLOCK_* when it is damaged. Walks the body of every block whose codec is known; a sealed block is proved by its
 * container, for which no key is needed.
 */
export function checkStoredBlock(block: Uint8Array, digest: Digest, codecs: readonly Codec[]): CheckedBlock {
  if (isSealed(block)) return checkSealed(block, digest);
  const header = checkBlock(block, digest);
  // A codec this program lacks: the checksum has covered every byte.
  if (header.codec === 0 || codecs.some(({ id }) => id === header.codec)) decodeBlock(block, digest, codecs);
  return { recordCount: header.recordCount };
}

/** What a stored block says of itself without its key: whose it is, and where it belongs in its lane. */
export type StoredHead = Omit<SealedHead, 'keyId'>;

/** Throws BLOCK_* when it is none. */
export function headOfStored(block: Uint8Array): StoredHead {
  return isSealed(block) ? parseSealed(block) : parseHeader(block);
}
