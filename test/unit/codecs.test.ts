// Goal: a compressed block gives back its records exactly, and one that lies about what it inflates to costs no more
// memory than the format allows. Method: real codecs, forged headers.
import { deflateRawSync } from 'node:zlib';
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { mergeBlocks, sliceBlock } from '../../stream/block-cut.ts';
import { BLOCK_HEADER_BYTES, parseHeader } from '../../stream/block-header.ts';
import { decodeBlock, encodeBlock } from '../../stream/block.ts';
import { BLOCK_BYTES_MAX, COMPRESSED_BODY_BYTES_MIN } from '../../stream/limits.ts';
import { codecFor, compressionProblem, nodeCodecs } from '../../runtime/codecs.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { INFLATED_BYTES_MAX, InflatedBodies } from '../../storage/inflated-bodies.ts';
import { FRAME, numberedRecords, record } from '../blocks.ts';

const DEFLATE = 1;
const decode = (block: Uint8Array) => decodeBlock(block, nodeDigest, nodeCodecs).records;
const code = (value: string) => expect.objectContaining({ code: value });

/** A block of `body` as it is, whose header says what it is told to. */
function forged(body: Uint8Array, rawLength: number, recordCount = 1, codec = DEFLATE): Uint8Array {
  const block = new Uint8Array(BLOCK_HEADER_BYTES + body.length);
  block.set(encodeBlock(FRAME, numberedRecords(1), nodeDigest).subarray(0, BLOCK_HEADER_BYTES));
  block.set(body, BLOCK_HEADER_BYTES);
  const view = new DataView(block.buffer);
  view.setUint8(9, codec);
  view.setUint32(12, block.length, true);
  view.setUint32(16, rawLength, true);
  view.setUint16(20, recordCount, true);
  view.setUint32(4, nodeDigest.crc32(block.subarray(8)), true);
  return block;
}

describe.each(nodeCodecs)('codec $name', (codec) => {
  const compressed = (count: number) => encodeBlock(FRAME, numberedRecords(count), nodeDigest, codec);

  it('makes a block smaller and gives its records back, merged and sliced too', () => {
    const records = numberedRecords(500);
    const block = compressed(500);
    expect(parseHeader(block)).toMatchObject({ codec: codec.id, recordCount: 500 });
    expect(block.length).toBeLessThan(encodeBlock(FRAME, records, nodeDigest).length / 2);
    expect(decode(block)).toEqual(records.map((one) => ({ ...one, data: Uint8Array.from(one.data) })));
    const rest = sliceBlock(block, 100, nodeDigest, nodeCodecs);
    expect(parseHeader(rest)).toMatchObject({ codec: codec.id, recordCount: 400, firstOrdinal: 101n });
    const again = mergeBlocks([block, rest], nodeDigest, { from: nodeCodecs, to: undefined });
    expect(parseHeader(again)).toMatchObject({ codec: 0, recordCount: 900 });
  });

  it('leaves alone what is small, what does not shrink, and a record too large to be inflated by everybody', () => {
    const codecOf = (data: Uint8Array) =>
      parseHeader(encodeBlock(FRAME, [{ ...record('k', ''), data }], nodeDigest, codec)).codec;
    expect(codecOf(new Uint8Array(COMPRESSED_BODY_BYTES_MIN - 20))).toBe(0);
    expect(codecOf(new Uint8Array(COMPRESSED_BODY_BYTES_MIN))).toBe(codec.id);
    expect(codecOf(randomBytes(4_000))).toBe(0);
    expect(codecOf(randomBytes(200_000))).toBe(0);
    expect(codecOf(new Uint8Array(BLOCK_BYTES_MAX))).toBe(0);
    expect(codecOf(new Uint8Array(BLOCK_BYTES_MAX - 200))).toBe(codec.id);
  });

  it('does not ask the library about noise, and asks it about text and about noise with text in it', () => {
    const text = Buffer.from(
      numberedRecords(60)
        .map(({ partitionKey }) => partitionKey)
        .join(' temperature '),
    );
    const small = { noise: randomBytes(1_000), text: text.subarray(0, 1_000) };
    expect(codec.compress(small.noise)).toBe(small.noise);
    expect(codec.compress(small.text).length).toBeLessThan(small.text.length / 2);
    const mixed = Buffer.concat([small.noise.subarray(0, 300), small.text.subarray(0, 700)]);
    expect(codec.compress(mixed).length).toBeLessThan(mixed.length * 0.8);
  });

  it('refuses a body that inflates to more or less than the header says, is cut, or is followed by bytes', () => {
    const raw = new Uint8Array(4_000).fill(1);
    const body = codec.compress(raw);
    expect(codec.decompress(body, 4_000)).toEqual(Buffer.from(raw));
    for (const length of [0, 1, 3_999, 4_001, 1_000_000]) {
      expect(() => codec.decompress(body, length), String(length)).toThrow(code('BLOCK_MALFORMED'));
    }
    expect(() => codec.decompress(body.subarray(0, -1), 4_000)).toThrow(code('BLOCK_MALFORMED'));
    expect(() => codec.decompress(Buffer.concat([body, Buffer.of(0)]), 4_000)).toThrow(
      code('BLOCK_MALFORMED'),
    );
    expect(() => codec.decompress(randomBytes(500), 4_000)).toThrow(code('BLOCK_MALFORMED'));
  });
});

describe('a hostile compressed block', () => {
  const bomb = deflateRawSync(new Uint8Array(64 * 1024 * 1024));

  it('is refused before it is inflated when it says that it is large', () => {
    expect(() => decode(forged(bomb, 64 * 1024 * 1024))).toThrow(code('BLOCK_TOO_LARGE'));
    expect(() => decode(forged(bomb, BLOCK_BYTES_MAX))).toThrow(code('BLOCK_TOO_LARGE'));
  });

  it('is given no more memory than it says it needs', () => {
    const before = process.memoryUsage().arrayBuffers;
    for (const rawLength of [200_000, BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES]) {
      expect(() => decode(forged(bomb, rawLength))).toThrow(code('BLOCK_MALFORMED'));
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * BLOCK_BYTES_MAX);
  });

  it('is refused for a codec nobody knows, and for one that made it no smaller', () => {
    const body = deflateRawSync(new Uint8Array(4_000));
    expect(() => decode(forged(body, 4_000, 1, 77))).toThrow(code('CODEC_UNKNOWN'));
    expect(() => decode(forged(body, body.length))).toThrow(code('BLOCK_MALFORMED'));
  });
});

describe('compression settings', () => {
  it('write what every supported runtime reads unless told otherwise', () => {
    expect(codecFor('auto')?.id).toBe(DEFLATE);
    expect(codecFor('none')).toBeUndefined();
    const hasZstd = nodeCodecs.some(({ name }) => name === 'zstd');
    expect(codecFor('zstd')?.name).toBe(hasZstd ? 'zstd' : undefined);
    expect(compressionProblem('zstd') === null).toBe(hasZstd);
    expect(compressionProblem('auto')).toBeNull();
  });
});

describe('inflated bodies', () => {
  it('are inflated once for all pages, within a bound, and never another block’s', () => {
    let calls = 0;
    const counting = nodeCodecs.map((codec) => ({
      ...codec,
      decompress: (stored: Uint8Array, rawLength: number) => {
        calls += 1;
        return codec.decompress(stored, rawLength);
      },
    }));
    const bodies = new InflatedBodies(counting);
    const block = encodeBlock(FRAME, numberedRecords(300), nodeDigest, codecFor('auto'));
    const other = encodeBlock(FRAME, numberedRecords(299), nodeDigest, codecFor('auto'));
    const page = (of: Uint8Array, place: string, from: number) =>
      decodeBlock(of, nodeDigest, bodies.codecsAt(place), from, 10).records;
    for (let from = 0; from < 300; from += 10) {
      expect(page(block, 'a', from)).toHaveLength(10);
    }
    expect(calls).toBe(1);
    expect(page(other, 'a', 290)).toHaveLength(9);
    expect(calls).toBe(2);
    const large = encodeBlock(FRAME, [record('k', 'x'.repeat(900_000))], nodeDigest, codecFor('auto'));
    for (let place = 0; place < 30; place += 1) page(large, `${place}`, 0);
    expect(bodies.bytes).toBeLessThanOrEqual(INFLATED_BYTES_MAX);
    expect(calls).toBe(32);
    page(large, '29', 0);
    expect(calls).toBe(32);
  });
});
