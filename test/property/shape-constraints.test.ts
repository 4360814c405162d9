// Goal: the quick look at an input and the careful one agree for every operation. Method: inputs made from the model, with
// members missing, out of bounds or null.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KINESIS_MODEL } from '../../server/kinesis/model.ts';
import { isValid, throwFindings } from '../../server/wire/shape-constraints.ts';
import type { Shape, StructureShape } from '../../server/wire/shape.ts';
import { ServiceError } from '../../server/wire/service-error.ts';

const { shapes } = KINESIS_MODEL;
const texts = fc.oneof(
  fc.constantFrom(
    '',
    'a',
    's-1',
    '0',
    '123',
    'arn:aws:kinesis:us-east-1:000000000000:stream/s',
    'NO',
    'TRIM_HORIZON',
    'KMS',
  ),
  fc.string({ maxLength: 300 }),
);

function valueOf(name: string, depth = 0): fc.Arbitrary<unknown> {
  const shape = shapes[name] as Shape;
  if (shape.type === 'structure') return structureOf(shape, depth);
  if (shape.type === 'list')
    return fc.array(
      fc.oneof(
        { weight: 9, arbitrary: valueOf(shape.member, depth + 1) },
        { weight: 1, arbitrary: fc.constant(null) },
      ),
      { maxLength: 4 },
    );
  if (shape.type === 'map')
    return fc.dictionary(fc.string({ maxLength: 140 }), fc.oneof(texts, fc.constant(null)), { maxKeys: 3 });
  if (shape.type === 'string') {
    const known = shape.enum ?? [];
    return known.length === 0 ? texts : fc.oneof(texts, fc.constantFrom(...known));
  }
  if (shape.type === 'blob') return fc.uint8Array({ maxLength: 8 });
  if (shape.type === 'boolean') return fc.boolean();
  return fc.integer({ min: -2, max: 20_000 });
}

function structureOf(shape: StructureShape, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const members = Object.fromEntries(
    Object.entries(shape.members).map(([name, member]) => [name, valueOf(member, depth + 1)]),
  );
  return fc.record(members, { requiredKeys: [] });
}

describe('a quick look', () => {
  it.each(Object.entries(KINESIS_MODEL.operations).map(([name, { input }]) => [name, input] as const))(
    'finds something wrong with %s exactly when there is',
    (_name, input) => {
      if (input === undefined) return;
      const shape = shapes[input];
      if (shape?.type !== 'structure') throw new Error(`${input} is a structure`);
      fc.assert(
        fc.property(structureOf(shape, 0), (value) => {
          let found = false;
          try {
            throwFindings(shapes, shape, value);
          } catch (error) {
            if (!(error instanceof ServiceError)) throw error;
            found = true;
          }
          expect(isValid(shapes, shape, value)).toBe(!found);
        }),
      );
    },
  );
});
