// Goal: bytes written by any release are read by every later one. Method: a vector that never changes (docs/FORMAT.md).
import { expect, it } from 'vitest';
import { decodeBlock } from '../../stream/block.ts';
import { hashKeyOf } from '../../stream/hash-range.ts';
import { toPosition } from '../../stream/position.ts';
import { formatSequenceNumber } from '../../stream/sequence-number.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { blockOf, record } from '../blocks.ts';

const RECORDS = [
  record('dev-1', '21.5', 1_000_000n),
  record('dev-2', '', 1_000_250n),
  record('dev-1', '21.6', 1_000_100n),
];
const VECTOR =
  '54524231bc1cbe9a010000017000000020000000030002000100000000000000000102030405060708090a0b0c0d0e0ff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff40420f000000000000a8da769b01000002056465762d31056465762d3200000432312e35f4030100ab02000432312e36';

it('encodes the vector of docs/FORMAT.md', () => {
  expect(Buffer.from(blockOf(RECORDS)).toString('hex')).toBe(VECTOR);
});

it('decodes the vector', () => {
  expect(
    decodeBlock(Buffer.from(VECTOR, 'hex'), nodeDigest).records.map((one) => ({
      ...one,
      data: Uint8Array.from(one.data),
    })),
  ).toEqual(RECORDS);
});

it('hashes a partition key as Kinesis does', () => {
  expect(hashKeyOf('a', nodeDigest)).toBe(16_955_237_001_963_240_173_058_271_559_858_726_497n);
});

it('prints a sequence number', () => {
  expect(formatSequenceNumber(toPosition(1n, 1n, 0), 0)).toMatch(/^\d{56}$/);
});
