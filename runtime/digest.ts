// The Digest port over node's native implementations.
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Digest } from '../stream/ports.ts';

export const nodeDigest: Digest = {
  md5Hex: (text) => hash('md5', text),
  crc32: (bytes, seed) => crc32(bytes, seed),
};
