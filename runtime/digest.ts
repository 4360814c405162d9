// The Digest port over node's native implementations.
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Digest } from '../stream/ports.ts';

export const nodeDigest: Digest = {
  md5: (text) => createHash('md5').update(text, 'utf8').digest(),
  crc32: (bytes, seed) => crc32(bytes, seed),
};
