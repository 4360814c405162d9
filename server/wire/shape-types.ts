// First half of checking a body: its types. Copies what the model knows and nothing else.
import { coerceScalar, coerceString } from './scalar-types.ts';
import type { BodyScalars } from './scalar-types.ts';
import { serializationError } from './service-error.ts';
import { membersOf, shapeNamed } from './shape.ts';
import type { ListShape, MapShape, Shape, Shapes, StructureShape } from './shape.ts';

export interface Typing {
  readonly shapes: Shapes;
  readonly scalars: BodyScalars;
}

/** Copies the members the model has, by their own properties only: nothing inherited, no `__proto__`. */
export function coerceStructure(
  typing: Typing,
  shape: StructureShape,
  value: unknown,
): Record<string, unknown> {
  const source = plainObject(value);
  const out: Record<string, unknown> = {};
  for (const { name, shape: memberShape } of membersOf(typing.shapes, shape)) {
    const member = Object.hasOwn(source, name) ? source[name] : null;
    if (member === null || member === undefined) continue;
    out[name] = coerce(typing, memberShape, member);
  }
  return out;
}

function coerce(typing: Typing, shape: Shape, value: unknown): unknown {
  if (shape.type === 'structure') return coerceStructure(typing, shape, value);
  if (shape.type === 'list') return coerceList(typing, shape, value);
  if (shape.type === 'map') return coerceMap(typing, shape, value);
  return coerceScalar(typing.scalars, shape.type, value);
}

/** A null element stays: the constraints name it by its path. */
function coerceList(typing: Typing, shape: ListShape, value: unknown): unknown[] {
  if (!Array.isArray(value)) {
    if (isMap(value)) throw serializationError('Start of structure or map found where not expected.');
    throw serializationError('Expected list or null');
  }
  const member = shapeNamed(typing.shapes, shape.member);
  return value.map((element: unknown) => (element === null ? null : coerce(typing, member, element)));
}

/** No prototype: keys are the caller's. */
function coerceMap(typing: Typing, shape: MapShape, value: unknown): Record<string, unknown> {
  const member = shapeNamed(typing.shapes, shape.value);
  const out = Object.create(null) as Record<string, unknown>;
  for (const [key, element] of Object.entries(plainObject(value))) {
    out[coerceString(key)] = element === null ? null : coerce(typing, member, element);
  }
  return out;
}

function plainObject(value: unknown): Readonly<Record<string, unknown>> {
  if (Array.isArray(value)) throw serializationError('Start of list found where not expected');
  if (!isMap(value)) throw serializationError('Expected map or null');
  return value;
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}
