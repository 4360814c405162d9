// Bodies in JSON: what is none, and what would cost too much before anybody has proved who they are.
import { expect, test } from 'vitest';
import { JSON_CODEC } from '../../server/wire/json-codec.ts';

const parse = (text: string | Buffer): object | undefined => JSON_CODEC.parse(Buffer.from(text));

test.each(['', 'null', '1', '"a"', '[]', '{', '{"a":1}x', '\ufeff{}', '{"a":\u0000}', "{'a':1}"])(
  '%j is no body',
  (text) => {
    expect(parse(text)).toBeUndefined();
  },
);

test('neither are broken UTF-8 and nesting without end', () => {
  expect(parse(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toBeUndefined();
  expect(parse('['.repeat(900_000))).toBeUndefined();
  expect(parse('{"a":'.repeat(200_000))).toBeUndefined();
});

test('a large body of records is read, one of many small values is not', () => {
  const record = { Data: 'A'.repeat(20_000), PartitionKey: ':'.repeat(256) };
  const put = JSON.stringify({ Records: Array.from({ length: 500 }, () => record) });
  expect(Object.keys(parse(put) ?? {})).toEqual(['Records']);
  expect(parse(`{"a":[${'[],'.repeat(600_000)}[]]}`)).toBeUndefined();
  expect(
    parse(`{${Array.from({ length: 600_000 }, (_, index) => `"${index}":1`).join(',')}}`),
  ).toBeUndefined();
});
