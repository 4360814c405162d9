// Checks a parsed body against a service model and copies what the model knows: first all types
// (SerializationException), then all constraints (one ValidationException). The texts are those that AWS answers with.
import type { BodyScalars } from './scalar-types.ts';
import { checkConstraints } from './shape-constraints.ts';
import { coerceStructure } from './shape-types.ts';
import { shapeNamed } from './shape.ts';
import type { Shapes, ValidatedInput } from './shape.ts';

/** `scalars`: how the body's encoding says blobs and timestamps. */
export function validateShape(
  shapes: Shapes,
  shapeName: string,
  body: unknown,
  scalars: BodyScalars,
): ValidatedInput {
  const shape = shapeNamed(shapes, shapeName);
  if (shape.type !== 'structure') throw new Error(`${shapeName} is no structure`);
  const input = coerceStructure({ shapes, scalars }, shape, body);
  checkConstraints(shapes, shape, input);
  return input;
}
