// Bodies in CBOR: vectors of RFC 8949, what the SDKs for Java send, and what nobody should.
import { expect, test } from 'vitest';
import { CBOR_CODEC } from '../../server/wire/cbor-codec.ts';
import { MalformedCbor, readCbor } from '../../server/wire/cbor-reader.ts';
import { JSON_CODEC } from '../../server/wire/json-codec.ts';
import { KINESIS_MODEL } from '../../server/kinesis/model.ts';
import { RecordList } from '../../server/kinesis/record-list.ts';
import { validateShape } from '../../server/wire/shape-validator.ts';
import { StoredRecord } from '../../storage/record-page.ts';
import { toPosition } from '../../stream/position.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

test.each([
  ['00', 0],
  ['17', 23],
  ['1818', 24],
  ['1903e8', 1000],
  ['1a000f4240', 1_000_000],
  ['1b000000e8d4a51000', 1_000_000_000_000],
  ['1bffffffffffffffff', 2 ** 64],
  ['20', -1],
  ['3903e7', -1000],
  ['f93c00', 1],
  ['f90001', 5.960_464_477_539_063e-8],
  ['f97c00', Infinity],
  ['f97e00', Number.NaN],
  ['fa47c35000', 100_000],
  ['fb3ff199999999999a', 1.1],
  ['f4', false],
  ['f5', true],
  ['f6', null],
  ['f7', null],
  ['4401020304', Buffer.of(1, 2, 3, 4)],
  ['5f42010243030405ff', Buffer.of(1, 2, 3, 4, 5)],
  ['62c3bc', 'ü'],
  ['63efbfbd', '\ufffd'],
  ['7f657374726561646d696e67ff', 'streaming'],
  ['83010203', [1, 2, 3]],
  ['9f018202039f0405ffff', [1, [2, 3], [4, 5]]],
  ['c11a514b67b0', 1_363_896_240],
  ['d9d9f701', 1],
])('%s', (bytes, value) => {
  expect(readCbor(hex(bytes))).toEqual(value);
});

test('keys are members and nothing else, whatever they are called', () => {
  const map = readCbor(hex('a2 695f5f70726f746f5f5f a161 78 01 61 61 02')) as Record<string, unknown>;
  expect(Object.getPrototypeOf(map)).toBe(Object.prototype);
  expect(Object.entries(map)).toEqual([
    ['__proto__', { x: 1 }],
    ['a', 2],
  ]);
  expect(() => readCbor(hex('a2 695f5f70726f746f5f5f 01 695f5f70726f746f5f5f 01'))).toThrow('twice');
  expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  expect(readCbor(hex('bf 61 61 01 ff'))).toEqual({ a: 1 });
});

test.each([
  ['nothing', ''],
  ['a list of 2^63', '9b8000000000000000'],
  ['a map of 2^63', 'bb8000000000000000'],
  ['bytes of 2^63', '5b8000000000000000'],
  ['a text longer than the body', '62 61'],
  ['an unfinished list', '9f 01'],
  ['an unfinished map', 'bf 61 61'],
  ['a lone break', 'ff'],
  ['a break for a value', 'bf 61 61 ff'],
  ['a key twice', 'a2 61 61 01 61 61 02'],
  ['a number as key', 'a1 01 02'],
  ['invalid UTF-8', '61 ff'],
  ['invalid UTF-8 in a part', '7f 61 ff ff'],
  ['bytes among the parts of a text', '7f 41 61 ff'],
  ['bytes behind the value', 'a0 a0'],
  ['an unknown simple value', 'f8 20'],
  ['a reserved length', '1c'],
  ['lists in lists without end', '81'.repeat(100_000)],
  ['indefinite lists in lists without end', '9f'.repeat(100_000)],
  ['tags without end', `${'c1'.repeat(200_000)}00`],
])('%s is malformed', (_name, bytes) => {
  expect(() => readCbor(hex(bytes))).toThrow(MalformedCbor);
  expect(CBOR_CODEC.parse(hex(bytes))).toBeUndefined();
});

test('a body of many small values is refused before they fill the memory', () => {
  const body = Buffer.concat([hex('9a00fffff0'), Buffer.alloc(0xfffff0, 0x80)]);
  const before = process.memoryUsage().heapUsed;
  expect(() => readCbor(body)).toThrow('more than 100000 items');
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
});

test('only a map is a body', () => {
  for (const body of ['01', 'f6', '80', '41ff', '6161']) expect(CBOR_CODEC.parse(hex(body))).toBeUndefined();
  expect(CBOR_CODEC.parse(hex('a0'))).toEqual({});
});

test('blobs are byte strings and timestamps milliseconds, in requests and replies', () => {
  const { shapes } = KINESIS_MODEL;
  const put = CBOR_CODEC.parse(hex('bf 64 44617461 42 0001 6c 506172746974696f6e4b6579 61 6b ff'));
  const { scalars } = CBOR_CODEC;
  expect(validateShape(shapes, 'PutRecordInput', put, scalars)).toEqual({
    Data: Buffer.of(0, 1),
    PartitionKey: 'k',
  });
  const at = { ShardId: 's', ShardIteratorType: 'AT_TIMESTAMP', Timestamp: 1_700_000_000_123 };
  expect(validateShape(shapes, 'GetShardIteratorInput', at, scalars)['Timestamp']).toBe(1_700_000_000_123);
  expect(() => validateShape(shapes, 'PutRecordInput', { Data: 'aGk=', PartitionKey: 'k' }, scalars)).toThrow(
    'class java.lang.String can not be converted to a Blob',
  );
  expect(() =>
    validateShape(shapes, 'PutRecordInput', { Data: Buffer.of(1), PartitionKey: Buffer.of(1) }, scalars),
  ).toThrow('class java.nio.HeapByteBuffer can not be converted to an String');
  expect(() => validateShape(shapes, 'ListStreamsInput', { Limit: Number.NaN }, scalars)).toThrow(
    'can not be converted to an Integer',
  );

  const summary = {
    StreamDescriptionSummary: { StreamCreationTimestamp: 1_700_000_000.123, ConsumerCount: 0 },
  };
  const written = CBOR_CODEC.write(summary, { shapes, name: 'DescribeStreamSummaryOutput' });
  expect(Buffer.from(written).toString('hex')).toContain('c11b0000018bcfe5687b');
  expect(readCbor(Buffer.from(written))).toEqual({
    StreamDescriptionSummary: { StreamCreationTimestamp: 1_700_000_000_123, ConsumerCount: 0 },
  });
});

test('a page of records reads the same in both encodings', () => {
  const first = toPosition(1n, 7n, 0);
  const stored = {
    first,
    recordCount: 2,
    arrivalMs: 1_700_000_000_123,
    cumulativeRecords: 2,
    cumulativeBytes: 2,
    storedBytes: 2,
    block: Buffer.alloc(0),
    note: Buffer.alloc(0),
  };
  const records = ['a', 'ü"'].map(
    (partitionKey, index) =>
      new StoredRecord({ partitionKey, data: Buffer.of(index, 255), monotonicUs: 0n }, stored, index),
  );
  const document = { Records: new RecordList(records, 3), MillisBehindLatest: 0 };
  const shape = { shapes: KINESIS_MODEL.shapes, name: 'GetRecordsOutput' };
  const inJson = JSON.parse(String(JSON_CODEC.write(document, shape))) as { Records: WireRecord[] };
  const inCbor = readCbor(Buffer.from(CBOR_CODEC.write(document, shape))) as { Records: WireRecord[] };
  expect(inCbor).toEqual({
    MillisBehindLatest: 0,
    Records: inJson.Records.map((record) => ({
      ...record,
      ApproximateArrivalTimestamp: Math.round(record.ApproximateArrivalTimestamp * 1000),
      Data: Buffer.from(record.Data, 'base64'),
    })),
  });
  expect(inJson.Records.map(({ PartitionKey }) => PartitionKey)).toEqual(['a', 'ü"']);
});

interface WireRecord {
  readonly ApproximateArrivalTimestamp: number;
  readonly Data: string;
  readonly PartitionKey: string;
}
