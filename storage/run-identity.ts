// Who writes: the run (this opening of the log) and the boot whose monotonic clock times the records.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { BLOCK_ID_BYTES, BOOT_ID_BYTES, RUN_ID_BYTES } from '../stream/block-header.ts';

export interface RunIdentity {
  /** Hex of the run id: what lane histories remember. */
  readonly run: string;
  readonly bootId: Uint8Array;
  /** A block id never given before. */
  nextBlockId(): Uint8Array;
}

export function openRunIdentity(): RunIdentity {
  const runId = randomBytes(RUN_ID_BYTES);
  let counter = 0n;
  return {
    run: runId.toString('hex'),
    bootId: readBootId(),
    nextBlockId: () => {
      const blockId = Buffer.alloc(BLOCK_ID_BYTES);
      runId.copy(blockId);
      blockId.writeBigUInt64LE(counter, RUN_ID_BYTES);
      counter += 1n;
      return blockId;
    },
  };
}

/** The kernel's boot id; elsewhere than on Linux every run counts as a boot of its own. */
function readBootId(): Uint8Array {
  try {
    const text = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().replaceAll('-', '');
    const bootId = Buffer.from(text, 'hex');
    if (bootId.length === BOOT_ID_BYTES) return bootId;
  } catch {
    // No such file: not Linux.
  }
  return randomBytes(BOOT_ID_BYTES);
}
