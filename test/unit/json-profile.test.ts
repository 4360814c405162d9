// Goal: telemetry becomes one canonical document, everything else a reason for quarantine; no input makes it throw.
import { describe, expect, it } from 'vitest';
import { encodeBase64 } from '../../devices/base64.ts';
import { JSON_BYTES_MAX, JSON_DEPTH_MAX, jsonProfile } from '../../devices/json-profile.ts';
import { nodeDigest } from '../../runtime/digest.ts';

const profile = jsonProfile(nodeDigest);
const context = { source: 'plant/1', nowMs: 99 };

function decode(input: string | Uint8Array): unknown {
  const decoded = profile.decode(typeof input === 'string' ? Buffer.from(input) : input, context);
  if (decoded.kind === 'quarantine') return decoded.reason;
  const [record] = decoded.records;
  return { key: record?.partitionKey, ...(JSON.parse(Buffer.from(record?.data ?? []).toString()) as object) };
}

describe('a document', () => {
  it.each([
    ['{"t":1.5}', { key: 'plant/1', ts: 99, device: 'plant/1', v: { t: 1.5 } }],
    ['\ufeff{"t":1}', { key: 'plant/1', ts: 99, device: 'plant/1', v: { t: 1 } }],
    [
      '{"ts":5,"device":"d","v":{"a":true,"b":null}}',
      { key: 'd', ts: 5, device: 'd', v: { a: true, b: null } },
    ],
    [
      '{"ts":5.6,"a":"x","q":{"a":"good"}}',
      { key: 'plant/1', ts: 6, device: 'plant/1', v: { a: 'x' }, q: { a: 'good' } },
    ],
    [
      '{"v":{"a":1},"q":{"a":0},"other":[1]}',
      { key: 'plant/1', ts: 99, device: 'plant/1', v: { a: 1 }, q: { a: 0 } },
    ],
    ['{"a":1,"nested":{"x":1},"list":[]}', { key: 'plant/1', ts: 99, device: 'plant/1', v: { a: 1 } }],
    ['{"v":3}', { key: 'plant/1', ts: 99, device: 'plant/1', v: { v: 3 } }],
    ['{"v":{}}', { key: 'plant/1', ts: 99, device: 'plant/1', v: {} }],
    ['{"a":"\\"}]{["}', { key: 'plant/1', ts: 99, device: 'plant/1', v: { a: '"}]{[' } }],
  ])('%s', (input, expected) => {
    expect(decode(input)).toEqual(expected);
  });

  it('keeps a member named __proto__ and takes nothing from a prototype', () => {
    const decoded = profile.decode(Buffer.from('{"__proto__":1,"constructor":2}'), context);
    expect(decoded.kind).toBe('records');
    const data = decoded.kind === 'records' ? Buffer.from(decoded.records[0]?.data ?? []).toString() : '';
    expect(data).toBe('{"ts":99,"device":"plant/1","v":{"__proto__":1,"constructor":2}}');
  });
});

describe('quarantine', () => {
  it.each([
    ['', 'empty'],
    ['no json', 'not valid JSON'],
    ['{"a":1', 'not valid JSON'],
    ['[1]', 'an array'],
    ['null', 'null instead'],
    ['3', 'a number'],
    ['{}', 'no member'],
    ['{"a":{}}', 'no member'],
    ['{"ts":"now","a":1}', 'ts is a string'],
    ['{"ts":8.64e15,"device":3,"a":1}', 'device is a number'],
    ['{"ts":8.65e15,"a":1}', 'range of dates'],
    ['{"device":"","a":1}', 'device is empty'],
    ['{"v":{"a":[]}}', 'v.a is an array'],
    ['{"v":{"a":1},"q":3}', 'q is a number'],
    ['{"a":1e999}', 'a is a number too large'],
    [Buffer.from([0x7b, 0xff, 0x7d]), 'UTF-8'],
    [Buffer.alloc(JSON_BYTES_MAX + 1, 0x20), `more than ${JSON_BYTES_MAX}`],
    [`{"a":${'['.repeat(JSON_DEPTH_MAX)}${']'.repeat(JSON_DEPTH_MAX)}}`, `deeper than ${JSON_DEPTH_MAX}`],
    ['['.repeat(100_000), 'deeper than'],
  ])('%.40s', (input, reason) => {
    expect(decode(input)).toContain(reason);
  });

  it('of noise, never an exception', () => {
    let seed = 1;
    for (let round = 0; round < 2_000; round += 1) {
      const noise = Buffer.from(
        Array.from({ length: round % 40 }, () => {
          seed = (seed * 48_271) % 2_147_483_647;
          return '{}[]":,\\u0e+-x1 \xff'.charCodeAt(seed % 18);
        }),
      );
      expect(['records', 'quarantine']).toContain(profile.decode(noise, context).kind);
    }
  });
});

it('encodeBase64 is what node makes of it', () => {
  for (let length = 0; length < 70; length += 1) {
    const bytes = Buffer.from(Array.from({ length }, (_, index) => (index * 89 + length) & 0xff));
    expect(encodeBase64(bytes)).toBe(bytes.toString('base64'));
  }
});
