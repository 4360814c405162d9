// Types first, then constraints: the texts of AWS on the real model.
import { expect, test } from 'vitest';
import { KINESIS_MODEL } from '../../server/kinesis/model.ts';
import { JSON_SCALARS } from '../../server/wire/scalar-types.ts';
import { ServiceError } from '../../server/wire/service-error.ts';
import { validateShape } from '../../server/wire/shape-validator.ts';

function valid(shape: string, json: string): unknown {
  return validateShape(KINESIS_MODEL.shapes, shape, JSON.parse(json), JSON_SCALARS);
}

function failure(shape: string, json: string): string {
  try {
    valid(shape, json);
  } catch (error) {
    if (error instanceof ServiceError) return `${error.type}: ${error.message}`;
    throw error;
  }
  throw new Error('was accepted');
}

const NUMBER_CLASS = 'class com.amazon.coral.value.json.numbers.TruncatingBigNumber';

test.each([
  ['ListStreamsInput', '{"Limit":"1"}', 'class java.lang.String can not be converted to an Integer'],
  ['ListStreamsInput', '{"Limit":[]}', 'Start of list found where not expected'],
  ['ListStreamsInput', '{"NextToken":1}', `${NUMBER_CLASS} can not be converted to an String`],
  ['ListStreamsInput', '{"NextToken":{}}', 'Start of structure or map found where not expected.'],
  ['ListStreamsInput', '{"NextToken":"\\ud800"}', 'Unpaired surrogate in a string'],
  ['PutRecordInput', '{"Data":true}', 'class java.lang.Boolean can not be converted to a Blob'],
  ['PutRecordInput', '{"DryRun":"yes"}', "'YES' can not be converted to an Boolean"],
  [
    'PutRecordInput',
    '{"Data":"abc"}',
    "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 3",
  ],
  [
    'PutRecordInput',
    '{"Data":"ab-_"}',
    "'ab-_' can not be converted to a Blob: Invalid Base64 character: '-'",
  ],
  [
    'PutRecordInput',
    '{"Data":"a=bc"}',
    "'a=bc' can not be converted to a Blob: Invalid Base64 character: '='",
  ],
  ['PutRecordsInput', '{"Records":"x"}', 'Expected list or null'],
  ['AddTagsToStreamInput', '{"Tags":1}', 'Expected map or null'],
  [
    'GetShardIteratorInput',
    '{"Timestamp":true}',
    'class java.lang.Boolean can not be converted to milliseconds since epoch',
  ],
])('%s %s', (shape, json, text) => {
  expect(failure(shape, json)).toBe(`SerializationException: ${text}`);
});

test('types come before constraints', () => {
  expect(failure('PutRecordInput', '{"PartitionKey":"","Data":1}')).toMatch(/^SerializationException/);
});

test('absent, enum, pattern and length', () => {
  expect(failure('PutRecordInput', '{"PartitionKey":"","StreamName":"a b","Data":null}')).toBe(
    'ValidationException: 3 validation errors detected: ' +
      "Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; " +
      "Value null at 'data' failed to satisfy constraint: Member must not be null; " +
      "Value '' at 'partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1",
  );
  expect(failure('PutRecordInput', '{"PartitionKey":"a","Data":"","ExplicitHashKey":"01"}')).toBe(
    "ValidationException: 1 validation error detected: Value '01' at 'explicitHashKey' failed to satisfy constraint: " +
      'Member must satisfy regular expression pattern: 0|([1-9]\\d{0,38})',
  );
  expect(failure('ListStreamsInput', '{"Limit":0}')).toBe(
    "ValidationException: 1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: " +
      'Member must have value greater than or equal to 1',
  );
  expect(failure('StartStreamEncryptionInput', '{"EncryptionType":"X","KeyId":"k","StreamName":"s"}')).toBe(
    "ValidationException: 1 validation error detected: Value 'X' at 'encryptionType' failed to satisfy constraint: " +
      'Member must satisfy enum value set: [NONE, KMS]',
  );
});

test('lists: paths from 1, at most ten errors, scalars as one', () => {
  const record = '{"Data":"","PartitionKey":""}';
  expect(failure('PutRecordsInput', `{"Records":[{"Data":"","PartitionKey":"k"},${record}]}`)).toBe(
    "ValidationException: 1 validation error detected: Value '' at 'records.2.member.partitionKey' " +
      'failed to satisfy constraint: Member must have length greater than or equal to 1',
  );
  expect(failure('PutRecordsInput', `{"Records":[${Array(20).fill(record).join()}]}`)).toMatch(
    /^ValidationException: 10 validation errors detected: /,
  );
  expect(failure('RemoveTagsFromStreamInput', '{"TagKeys":["a",""]}')).toBe(
    "ValidationException: 1 validation error detected: Value '[a, ]' at 'tagKeys' failed to satisfy constraint: " +
      'Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 1]',
  );
});

test('maps: keys and values', () => {
  const text = failure('AddTagsToStreamInput', `{"Tags":{"":"v","k":"${'x'.repeat(257)}"}}`);
  expect(text).toContain("at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: [");
  expect(text).toContain(
    'Map value must satisfy constraint: [Member must have length less than or equal to 256',
  );
});

test('long values and blobs are not printed', () => {
  const long = 'x'.repeat(3000);
  expect(failure('ListStreamsInput', `{"ExclusiveStartStreamName":"${long}"}`)).toBe(
    "ValidationException: 1 validation error detected: Value at 'exclusiveStartStreamName' failed to satisfy constraint: " +
      'Member must have length less than or equal to 128',
  );
  const data = Buffer.alloc(10_485_761).toString('base64');
  expect(failure('PutRecordInput', `{"PartitionKey":"k","Data":"${data}"}`)).toContain(
    "Value 'java.nio.HeapByteBuffer[pos=0 lim=10485761 cap=10485761]' at 'data'",
  );
});

test('copies known members only, null is absent, __proto__ does nothing', () => {
  const input = valid(
    'GetShardIteratorInput',
    '{"__proto__":{"StreamName":"evil"},"constructor":1,"ShardId":"s","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1700000000.5,"StreamName":null}',
  );
  expect(input).toStrictEqual({
    ShardId: 's',
    ShardIteratorType: 'AT_TIMESTAMP',
    Timestamp: 1_700_000_000_500,
  });
  const tags = valid('AddTagsToStreamInput', '{"StreamName":"s","Tags":{"__proto__":"v"}}') as {
    Tags: Record<string, string>;
  };
  expect(Object.entries(tags.Tags)).toEqual([['__proto__', 'v']]);
});

test('numbers are floored and clamped, blobs decoded', () => {
  expect(valid('ListStreamsInput', '{"Limit":7.9}')).toEqual({ Limit: 7 });
  expect(failure('ListStreamsInput', '{"Limit":1e999}')).toContain("Value '2147483647'");
  expect(valid('PutRecordInput', '{"PartitionKey":"k","Data":"AQI="}')).toEqual({
    PartitionKey: 'k',
    Data: Buffer.from([1, 2]),
  });
});

test('every input of the model exists', () => {
  for (const operation of Object.values(KINESIS_MODEL.operations)) {
    expect(Object.keys(KINESIS_MODEL.shapes)).toContain(operation.input);
  }
});
