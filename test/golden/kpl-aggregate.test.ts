// Goal: what the Kinesis Producer Library packs is read, and what is packed here is what it packs. Method: a vector of
// its format, round trips, and bytes that are nearly an aggregate.
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeAggregate, encodeAggregate } from '../../stream/kpl-aggregate.ts';
import type { UserRecord } from '../../stream/kpl-aggregate.ts';

const md5 = (bytes: Uint8Array): Uint8Array => createHash('md5').update(bytes).digest();
const VECTOR = Buffer.from(
  'f3899ac20a03706b310a03706b3212033132331a0b080010001a0568656c6c6f1a0908011a05776f726c64bfe39842a848ecd7039a1be9b6494885',
  'hex',
);
const RECORDS: readonly UserRecord[] = [
  { partitionKey: 'pk1', explicitHashKey: '123', data: Buffer.from('hello') },
  { partitionKey: 'pk2', data: Buffer.from('world') },
];

/** With a checksum that fits: what is wrong is inside. */
function aggregateOf(message: string): Buffer {
  const bytes = Buffer.from(message, 'hex');
  return Buffer.concat([Buffer.from('f3899ac2', 'hex'), bytes, md5(bytes)]);
}

const plain = (records: readonly UserRecord[] | null) =>
  records?.map((record) => ({ ...record, data: Buffer.from(record.data).toString('hex') }));

describe('an aggregate', () => {
  it('is written and read as the vector is', () => {
    expect(Buffer.from(encodeAggregate(RECORDS, md5)).toString('hex')).toBe(VECTOR.toString('hex'));
    expect(plain(decodeAggregate(VECTOR, md5))).toEqual(plain(RECORDS));
  });

  it('gives back what was packed', () => {
    const record = fc.record(
      {
        partitionKey: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
        explicitHashKey: fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map(String),
        data: fc.uint8Array({ maxLength: 300 }),
      },
      { requiredKeys: ['partitionKey', 'data'] },
    );
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (records) => {
        expect(plain(decodeAggregate(encodeAggregate(records, md5), md5))).toEqual(plain(records));
      }),
    );
  });

  it('may hold tags, tables behind the records and fields that are not known', () => {
    // Record { key 0, data 'x', tag { 'a': 'b' } }, field 9 of each wire type, then the table.
    const message =
      '1a0d08001a01782206 0a0161120162'.replaceAll(' ', '') +
      '4801' +
      '49' +
      '00'.repeat(8) +
      '4d' +
      '00'.repeat(4) +
      '4a0100' +
      '0a016b';
    expect(plain(decodeAggregate(aggregateOf(message), md5))).toEqual(
      plain([{ partitionKey: 'k', data: Buffer.from('x') }]),
    );
  });
});

describe('an ordinary record', () => {
  it.each([
    ['nothing', Buffer.alloc(0)],
    ['shorter than the magic', VECTOR.subarray(0, 3)],
    ['the magic alone', VECTOR.subarray(0, 4)],
    ['the magic and a checksum of nothing', aggregateOf('')],
    ['another magic', Buffer.concat([Buffer.of(0xf4), VECTOR.subarray(1)])],
    ['another checksum', Buffer.concat([VECTOR.subarray(0, -1), Buffer.of(0)])],
    ['cut short', VECTOR.subarray(0, -1)],
    ['a record without a key', aggregateOf('1a031a0178')],
    ['a record without data', aggregateOf('0a016b1a020800')],
    ['a key that is not in the table', aggregateOf('0a016b1a0508011a0178')],
    ['a hash key that is not in the table', aggregateOf('0a016b1a07080010001a0178')],
    ['a key that is no UTF-8', aggregateOf('0a01ff1a0508001a0178')],
    ['a length beyond the end', aggregateOf('0aff7f6b')],
    ['a group, which nobody writes', aggregateOf('0b0c')],
    ['a number without an end', aggregateOf('08ffffffffffffffffff')],
  ])('is %s', (_, data) => {
    expect(decodeAggregate(data, md5)).toBeNull();
  });

  it('is whatever is no aggregate, and nothing throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (message) => {
        const found = decodeAggregate(aggregateOf(Buffer.from(message).toString('hex')), md5);
        expect(found === null || Array.isArray(found)).toBe(true);
      }),
    );
  });
});
