// Bodies of `application/x-amz-cbor-1.1`, the default of the SDKs for Java: timestamps are milliseconds under tag 1, blobs
// byte strings.
import { SelfWritten } from './body-codec.ts';
import type { BodyCodec } from './body-codec.ts';
import { MalformedCbor, readCbor } from './cbor-reader.ts';
import { CborWriter } from './cbor-writer.ts';
import { CBOR_SCALARS } from './scalar-types.ts';
import { shapeNamed } from './shape.ts';
import type { Shape, Shapes } from './shape.ts';

export const CBOR_CODEC: BodyCodec = {
  mediaType: 'application/x-amz-cbor-1.1',
  scalars: CBOR_SCALARS,
  parse,
  write: (document, shape) => {
    const writer = new CborWriter();
    const shapes = shape?.shapes ?? {};
    writeValue({ writer, shapes }, document, shape && shapeNamed(shapes, shape.name));
    return writer.finish();
  },
};

function parse(body: Uint8Array): object | undefined {
  try {
    const value = readCbor(body);
    const isMap = typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array);
    return isMap && value !== null ? value : undefined;
  } catch (error) {
    if (error instanceof MalformedCbor) return undefined;
    throw error;
  }
}

interface Target {
  readonly writer: CborWriter;
  readonly shapes: Shapes;
}

function writeValue(target: Target, value: unknown, shape: Shape | undefined): void {
  const { writer } = target;
  if (typeof value === 'string') writer.text(value);
  else if (typeof value === 'number') writeNumber(writer, value, shape);
  else if (typeof value === 'boolean') writer.boolean(value);
  else if (value instanceof SelfWritten) value.cbor(writer);
  else if (value instanceof Uint8Array) writer.bytes(value);
  else if (Array.isArray(value)) writeList(target, value, shape);
  else if (typeof value === 'object' && value !== null) writeMap(target, value, shape);
  else writer.null();
}

function writeNumber(writer: CborWriter, value: number, shape: Shape | undefined): void {
  if (shape?.type === 'timestamp') writer.timestampMs(value * 1000);
  else writer.number(value);
}

function writeList(target: Target, list: readonly unknown[], shape: Shape | undefined): void {
  const member = shape?.type === 'list' ? shapeNamed(target.shapes, shape.member) : undefined;
  target.writer.list(list.length);
  for (const element of list) writeValue(target, element, member);
}

function writeMap(target: Target, map: object, shape: Shape | undefined): void {
  const entries = Object.entries(map).filter(([, value]) => value !== undefined);
  target.writer.map(entries.length);
  for (const [key, value] of entries) {
    target.writer.text(key);
    writeValue(target, value, memberShape(target.shapes, shape, key));
  }
}

function memberShape(shapes: Shapes, shape: Shape | undefined, key: string): Shape | undefined {
  if (shape?.type === 'map') return shapeNamed(shapes, shape.value);
  const name =
    shape?.type === 'structure' && Object.hasOwn(shape.members, key) ? shape.members[key] : undefined;
  return name === undefined ? undefined : shapeNamed(shapes, name);
}
