// How bodies of blocks are compressed: the Codec port over node:zlib. Ids are part of the block format (docs/FORMAT.md).
import * as zlib from 'node:zlib';
import { malformed } from '../stream/block-header.ts';
import type { Codec } from '../stream/ports.ts';

/** Of a larger body a part is tried first: to find out on all of it that it does not shrink takes 20 ms a MiB. */
const SAMPLED_BYTES_MIN = 16 * 1024;
const SAMPLE_BYTES = 4 * 1024;
const SAMPLE_SHARE_MAX = 0.9;
/** Bytes of a body that are looked at to see whether they are noise: images, cipher text, what is compressed already. */
const NOISE_SAMPLE_BYTES = 256;
/** Noise has 162 different values among 256 bytes, JSON some 50; with a quarter of JSON in it, noise has 140. */
const NOISE_SHARE_MIN = 0.85;
/** Of output in one piece: a body that lies about its length has no more memory than it can fill, and this. */
const CHUNK_BYTES_MAX = 64 * 1024;
const CHUNK_BYTES_MIN = 64;

interface InflateOptions {
  readonly maxOutputLength: number;
  readonly chunkSize: number;
  readonly info: true;
}

/** What node:zlib answers when it is asked for `info`. */
interface Inflated {
  readonly buffer: Uint8Array;
  /** `bytesWritten`: bytes of the input that were used. */
  readonly engine: { readonly bytesWritten: number };
}

interface Functions {
  readonly compress: (raw: Uint8Array) => Uint8Array;
  readonly decompress: (stored: Uint8Array, options: InflateOptions) => Inflated;
}

function codec(id: number, name: string, { compress, decompress }: Functions): Codec {
  return {
    id,
    name,
    compress: (raw) => (shrinks(raw, compress) ? compress(raw) : raw),
    decompress: (stored, rawLength) => inflateExactly(name, decompress, stored, rawLength),
  };
}

function shrinks(raw: Uint8Array, compress: Functions['compress']): boolean {
  if (isNoise(raw)) return false;
  if (raw.length < SAMPLED_BYTES_MIN) return true;
  // From the middle: a body begins with its partition keys, which say nothing of the data.
  const start = (raw.length - SAMPLE_BYTES) >> 1;
  return compress(raw.subarray(start, start + SAMPLE_BYTES)).length < SAMPLE_BYTES * SAMPLE_SHARE_MAX;
}

/**
 * Asked first, because it costs a microsecond: the library needs 50 to make its tables, however small the body is, and a
 * commit to a thousand shards has a thousand bodies.
 */
function isNoise(raw: Uint8Array): boolean {
  const count = Math.min(raw.length, NOISE_SAMPLE_BYTES);
  const step = raw.length / count;
  const seen = new Uint8Array(256);
  let distinct = 0;
  for (let index = 0; index < count; index += 1) {
    const value = raw[Math.trunc(index * step)] ?? 0;
    if (seen[value] === 0) distinct += 1;
    seen[value] = 1;
  }
  const expected = 256 * (1 - Math.exp(-count / 256));
  return distinct >= expected * NOISE_SHARE_MIN;
}

function inflateExactly(
  name: string,
  decompress: Functions['decompress'],
  stored: Uint8Array,
  rawLength: number,
): Uint8Array {
  if (rawLength === 0) throw malformed('its body is empty');
  const chunkSize = Math.max(CHUNK_BYTES_MIN, Math.min(rawLength, CHUNK_BYTES_MAX));
  let inflated: Inflated;
  try {
    inflated = decompress(stored, { maxOutputLength: rawLength, chunkSize, info: true });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw malformed(`its body is not ${rawLength} bytes of ${name}: ${reason}`);
  }
  const { buffer, engine } = inflated;
  if (buffer.length !== rawLength) {
    throw malformed(`its body has ${buffer.length} bytes, the header says ${rawLength}`);
  }
  if (engine.bytesWritten !== stored.length) throw malformed(`bytes follow its ${name} stream`);
  return buffer;
}

/** Level 1: 64 KiB of JSON telemetry to 16 %; the levels above take twice the time for 1 % more. */
const deflate = codec(1, 'deflate', {
  compress: (raw) => zlib.deflateRawSync(raw, { level: 1 }),
  // Declared to answer the bytes alone, whatever it is asked for.
  decompress: (stored, options) => zlib.inflateRawSync(stored, options) as unknown as Inflated,
});

/** Node 22.15 and later; not in the types of the oldest Node that is supported. */
interface ZstdFunctions {
  readonly zstdCompressSync?: (raw: Uint8Array, options: object) => Uint8Array;
  readonly zstdDecompressSync?: (stored: Uint8Array, options: object) => unknown;
  readonly constants: { readonly ZSTD_c_compressionLevel?: number };
}

function zstdOf({ zstdCompressSync, zstdDecompressSync, constants }: ZstdFunctions): Codec | null {
  const level = constants.ZSTD_c_compressionLevel;
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined || level === undefined) return null;
  return codec(2, 'zstd', {
    compress: (raw) => zstdCompressSync(raw, { params: { [level]: 1 } }),
    decompress: (stored, options) => zstdDecompressSync(stored, options) as Inflated,
  });
}

const zstd = zstdOf(zlib as unknown as ZstdFunctions);

/** Every codec this runtime can read and write, the one that everybody has first. */
export const nodeCodecs: readonly Codec[] = zstd === null ? [deflate] : [deflate, zstd];

export const COMPRESSIONS = ['auto', 'zstd', 'none'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/**
 * What new blocks are written with; undefined: as is. `auto` is what every Node that runs this program can read: a log
 * must open again where an older one is installed.
 */
export function codecFor(compression: Compression): Codec | undefined {
  if (compression === 'none') return undefined;
  return compression === 'zstd' ? (zstd ?? undefined) : deflate;
}

/** Null: it can be written here. */
export function compressionProblem(compression: Compression): string | null {
  if (compression !== 'zstd' || zstd !== null) return null;
  return `must be auto or none: Node ${process.versions.node} has no zstd, which came with Node 22.15`;
}
