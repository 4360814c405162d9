// Our CBOR against another implementation: each reads what the other writes, and no bytes whatever break the reader.
import { decode, encode } from 'cborg';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CBOR_CODEC } from '../../server/wire/cbor-codec.ts';
import { MalformedCbor, readCbor } from '../../server/wire/cbor-reader.ts';

const key = fc.string({ unit: 'grapheme' }).filter((text) => text !== '__proto__');
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: 'grapheme' }),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).map((number) => (Object.is(number, -0) ? 0 : number)),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array(),
    fc.array(tie('tree'), { maxLength: 5 }),
    fc.dictionary(key, tie('tree'), { maxKeys: 5, noNullPrototype: true }),
  ),
}));
const document = fc.dictionary(key, tree, { maxKeys: 5, noNullPrototype: true });

/** Bytes of any class are the same bytes. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, plain(member)]));
}

test('it reads what the other writes', () => {
  fc.assert(
    fc.property(document, (value) => {
      expect(plain(readCbor(encode(value)))).toEqual(plain(value));
    }),
  );
});

test('the other reads what it writes', () => {
  fc.assert(
    fc.property(document, (value) => {
      expect(plain(decode(Buffer.from(CBOR_CODEC.write(value))))).toEqual(plain(value));
    }),
  );
});

test('arbitrary and damaged bytes are read or refused, nothing else', () => {
  const damaged = fc.tuple(document, fc.nat(), fc.nat(255)).map(([value, at, byte]) => {
    const bytes = Buffer.from(encode(value));
    bytes[at % bytes.length] = byte;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), damaged), (bytes) => {
      try {
        readCbor(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedCbor);
      }
    }),
    { numRuns: 2_000 },
  );
});
