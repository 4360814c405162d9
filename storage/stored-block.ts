// The envelope around a block in an engine: what only the engine knows of it.
import { assert } from '../stream/errors.ts';

export interface Envelope {
  readonly recordCount: number;
  readonly arrivalMs: number;
  /** Of the shard, up to and including this block. */
  readonly cumulativeRecords: number;
  readonly cumulativeBytes: number;
}

/** As it is read: with the length of the block inside. */
export interface ReadEnvelope extends Envelope {
  readonly blockBytes: number;
}

const VERSION = 1;
const ENVELOPE_BYTES = 36;
const NO_NOTE = new Uint8Array();

/** A copy of the block between its envelope and its note. */
export function wrapBlock(envelope: Envelope, block: Uint8Array, note: Uint8Array = NO_NOTE): Uint8Array {
  const stored = Buffer.allocUnsafe(ENVELOPE_BYTES + block.length + note.length);
  stored.writeUInt32BE(VERSION << 24, 0);
  stored.writeUInt32BE(envelope.recordCount, 4);
  stored.writeDoubleBE(envelope.arrivalMs, 8);
  stored.writeDoubleBE(envelope.cumulativeRecords, 16);
  stored.writeDoubleBE(envelope.cumulativeBytes, 24);
  stored.writeUInt32BE(block.length, 32);
  stored.set(block, ENVELOPE_BYTES);
  stored.set(note, ENVELOPE_BYTES + block.length);
  return stored;
}

export function readEnvelope(stored: Uint8Array): ReadEnvelope {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const blockBytes = bytes.length > ENVELOPE_BYTES && bytes[0] === VERSION ? bytes.readUInt32BE(32) : 0;
  assert(
    blockBytes > 0 && blockBytes <= bytes.length - ENVELOPE_BYTES,
    'a stored block has an envelope of version 1',
  );
  return {
    recordCount: bytes.readUInt32BE(4),
    arrivalMs: bytes.readDoubleBE(8),
    cumulativeRecords: bytes.readDoubleBE(16),
    cumulativeBytes: bytes.readDoubleBE(24),
    blockBytes,
  };
}

/** Views, not copies. */
export function unwrapBlock(stored: Uint8Array): { block: Uint8Array; note: Uint8Array } {
  const end = ENVELOPE_BYTES + readEnvelope(stored).blockBytes;
  return { block: stored.subarray(ENVELOPE_BYTES, end), note: stored.subarray(end) };
}
