// Checks a parsed JSON body against a service model and copies what the model knows: first all types
// (SerializationException), then all constraints (one ValidationException). The texts are those that AWS answers with.
import { clientError, serializationError } from './service-error.ts';

export type Shape =
  | {
      readonly type: 'structure';
      readonly members: Readonly<Record<string, string>>;
      readonly required?: readonly string[];
      readonly min?: number;
      readonly max?: number;
    }
  | { readonly type: 'list'; readonly member: string; readonly min?: number; readonly max?: number }
  | {
      readonly type: 'map';
      readonly key: string;
      readonly value: string;
      readonly min?: number;
      readonly max?: number;
    }
  | {
      readonly type: 'string';
      readonly min?: number;
      readonly max?: number;
      readonly pattern?: string;
      readonly enum?: readonly string[];
    }
  | {
      readonly type: 'integer' | 'long' | 'blob' | 'boolean' | 'timestamp';
      readonly min?: number;
      readonly max?: number;
    };

export interface OperationModel {
  /** Name of the input's shape; absent: the operation takes no members. */
  readonly input?: string;
  readonly output?: string;
  readonly errors: readonly string[];
}

export interface ServiceModel {
  /** What stands before the dot in X-Amz-Target. */
  readonly targetPrefix: string;
  readonly signingName: string;
  readonly operations: Readonly<Record<string, OperationModel>>;
  readonly shapes: Readonly<Record<string, Shape>>;
}

/** Blobs are Uint8Array, timestamps milliseconds, absent members absent. */
export type ValidatedInput = Readonly<Record<string, unknown>>;

type Shapes = ServiceModel['shapes'];
type Scalar = Exclude<Shape, { type: 'structure' | 'list' | 'map' }>;

const ERRORS_MAX = 10;
/** A longer value is named by its path only. */
const PRINTED_CHARS_MAX = 2048;
/** Patterns of ARNs backtrack: text beyond its maximum length and this is not matched, its length is error enough. */
const MATCHED_CHARS_MAX = 4096;
const INTEGER_MAX = 2 ** 31 - 1;

export function validateShape(shapes: Shapes, shapeName: string, body: unknown): ValidatedInput {
  const shape = shapeNamed(shapes, shapeName);
  if (shape.type !== 'structure') throw new Error(`${shapeName} is no structure`);
  const input = coerceStructure(shapes, shape, body);
  const findings = new Findings();
  checkMembers(shapes, shape, input, '', findings);
  findings.raise();
  return input;
}

function shapeNamed(shapes: Shapes, name: string): Shape {
  const shape = Object.hasOwn(shapes, name) ? shapes[name] : undefined;
  if (shape === undefined) throw new Error(`the model has no shape ${name}`);
  return shape;
}

// Phase 1: types.

function coerce(shapes: Shapes, shape: Shape, value: unknown): unknown {
  switch (shape.type) {
    case 'structure':
      return coerceStructure(shapes, shape, value);
    case 'list':
      return coerceList(shapes, shape, value);
    case 'map':
      return coerceMap(shapes, shape, value);
    case 'string':
      return coerceString(value);
    case 'blob':
      return coerceBlob(value);
    case 'boolean':
      return coerceBoolean(value);
    case 'timestamp':
      return coerceNumber(value, 'milliseconds since epoch', secondsToMs);
    case 'integer':
      return coerceNumber(value, 'an Integer', (n) => clamp(Math.floor(n), -INTEGER_MAX - 1, INTEGER_MAX));
    case 'long':
      return coerceNumber(value, 'an Long', (n) => clampSafe(Math.floor(n)));
  }
}

/** Copies the members the model has, by their own properties only: nothing inherited, no `__proto__`. */
function coerceStructure(
  shapes: Shapes,
  shape: Extract<Shape, { type: 'structure' }>,
  value: unknown,
): Record<string, unknown> {
  const source = plainObject(value);
  const out: Record<string, unknown> = {};
  for (const [name, memberShape] of Object.entries(shape.members)) {
    const member = Object.hasOwn(source, name) ? source[name] : null;
    if (member === null || member === undefined) continue;
    out[name] = coerce(shapes, shapeNamed(shapes, memberShape), member);
  }
  return out;
}

/** A null element stays: phase 2 names it by its path. */
function coerceList(shapes: Shapes, shape: Extract<Shape, { type: 'list' }>, value: unknown): unknown[] {
  if (!Array.isArray(value)) {
    if (typeof value === 'object')
      throw serializationError('Start of structure or map found where not expected.');
    throw serializationError('Expected list or null');
  }
  const member = shapeNamed(shapes, shape.member);
  return value.map((element: unknown) => (element === null ? null : coerce(shapes, member, element)));
}

/** No prototype: keys are the caller's. */
function coerceMap(
  shapes: Shapes,
  shape: Extract<Shape, { type: 'map' }>,
  value: unknown,
): Record<string, unknown> {
  const member = shapeNamed(shapes, shape.value);
  const out = Object.create(null) as Record<string, unknown>;
  for (const [key, element] of Object.entries(plainObject(value))) {
    out[coerceString(key)] = element === null ? null : coerce(shapes, member, element);
  }
  return out;
}

function plainObject(value: unknown): Readonly<Record<string, unknown>> {
  if (Array.isArray(value)) throw serializationError('Start of list found where not expected');
  if (typeof value !== 'object' || value === null) throw serializationError('Expected map or null');
  return value as Readonly<Record<string, unknown>>;
}

function coerceString(value: unknown): string {
  if (typeof value !== 'string') throw conversionError(value, 'an String');
  if (/\p{Surrogate}/u.test(value)) throw serializationError('Unpaired surrogate in a string');
  return value;
}

function coerceBoolean(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') {
    throw serializationError(`'${value.toUpperCase()}' can not be converted to an Boolean`);
  }
  throw conversionError(value, 'an Boolean');
}

function coerceNumber(value: unknown, target: string, convert: (value: number) => number): number {
  if (typeof value !== 'number') throw conversionError(value, target);
  return convert(value);
}

/**
 * Node decodes bad base64 without a word: it leaves out what it does not know, so that the length comes out wrong, and
 * takes the alphabet of URLs too.
 */
function coerceBlob(value: unknown): Uint8Array {
  if (typeof value !== 'string') throw conversionError(value, 'a Blob');
  if (value.length % 4 !== 0) {
    throw blobError(
      value,
      `Base64 encoded length is expected a multiple of 4 bytes but found: ${value.length}`,
    );
  }
  const bytes = Buffer.from(value, 'base64');
  const isWhole = bytes.length === (value.length / 4) * 3 - paddingOf(value);
  if (isWhole && !value.includes('-') && !value.includes('_')) return bytes;
  const bad = /[^A-Za-z0-9+/=]|=(?=[^=])|=(?===)/.exec(value);
  throw blobError(value, `Invalid Base64 character: '${bad?.[0] ?? '='}'`);
}

function paddingOf(base64: string): number {
  if (base64.endsWith('==')) return 2;
  return base64.endsWith('=') ? 1 : 0;
}

function blobError(value: string, problem: string): Error {
  const shown = value.length > PRINTED_CHARS_MAX ? `${value.slice(0, PRINTED_CHARS_MAX)}…` : value;
  return serializationError(`'${shown}' can not be converted to a Blob: ${problem}`);
}

function conversionError(value: unknown, target: string): Error {
  if (Array.isArray(value)) return serializationError('Start of list found where not expected');
  if (typeof value === 'object')
    return serializationError('Start of structure or map found where not expected.');
  return serializationError(`class ${javaClass(value)} can not be converted to ${target}`);
}

function javaClass(value: unknown): string {
  if (typeof value === 'number') return 'com.amazon.coral.value.json.numbers.TruncatingBigNumber';
  return typeof value === 'boolean' ? 'java.lang.Boolean' : 'java.lang.String';
}

function secondsToMs(seconds: number): number {
  return clampSafe(Math.round(seconds * 1000));
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** JSON numbers may be infinite (`1e999`). */
function clampSafe(value: number): number {
  return clamp(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
}

// Phase 2: constraints.

class Findings {
  readonly #texts: string[] = [];

  get full(): boolean {
    return this.#texts.length >= ERRORS_MAX;
  }

  add(path: string, shown: string | null, constraint: string): void {
    if (this.full) return;
    const value = shown === null ? 'Value' : `Value ${shown}`;
    this.#texts.push(`${value} at '${path}' failed to satisfy constraint: ${constraint}`);
  }

  raise(): void {
    const count = this.#texts.length;
    if (count === 0) return;
    const errors = count === 1 ? 'error' : 'errors';
    throw clientError(
      'ValidationException',
      `${count} validation ${errors} detected: ${this.#texts.join('; ')}`,
    );
  }
}

function checkMembers(
  shapes: Shapes,
  shape: Extract<Shape, { type: 'structure' }>,
  value: Readonly<Record<string, unknown>>,
  prefix: string,
  findings: Findings,
): void {
  for (const [name, memberShape] of Object.entries(shape.members)) {
    if (findings.full) return;
    const path = `${prefix}${name.charAt(0).toLowerCase()}${name.slice(1)}`;
    const member = value[name];
    if (member !== undefined) check(shapes, shapeNamed(shapes, memberShape), member, path, findings);
    else if (shape.required?.includes(name) === true) findings.add(path, 'null', 'Member must not be null');
  }
}

function check(shapes: Shapes, shape: Shape, value: unknown, path: string, findings: Findings): void {
  for (const failed of failures(shape, value)) findings.add(path, quoted(value), failed);
  if (shape.type === 'structure') {
    checkMembers(shapes, shape, value as Record<string, unknown>, `${path}.`, findings);
  } else if (shape.type === 'list') {
    checkElements(shapes, shapeNamed(shapes, shape.member), value as unknown[], path, findings);
  } else if (shape.type === 'map') {
    checkEntries(shapes, shape, value as Record<string, unknown>, path, findings);
  }
}

/** Scalars fail as one finding of the list, structures each by its own path. */
function checkElements(
  shapes: Shapes,
  member: Shape,
  list: readonly unknown[],
  path: string,
  findings: Findings,
): void {
  let scalarFailed = false;
  for (const [index, element] of list.entries()) {
    if (findings.full) return;
    const elementPath = `${path}.${index + 1}.member`;
    if (element === null) findings.add(elementPath, 'null', 'Member must not be null');
    else if (!isScalar(member)) check(shapes, member, element, elementPath, findings);
    else scalarFailed ||= failures(member, element).length > 0;
  }
  if (scalarFailed && isScalar(member)) {
    findings.add(path, quoted(list), `Member must satisfy constraint: ${constraintList(member)}`);
  }
}

function checkEntries(
  shapes: Shapes,
  shape: Extract<Shape, { type: 'map' }>,
  map: Readonly<Record<string, unknown>>,
  path: string,
  findings: Findings,
): void {
  const key = shapeNamed(shapes, shape.key);
  const value = shapeNamed(shapes, shape.value);
  if (!isScalar(key) || !isScalar(value))
    throw new Error(`${path}: maps of structures are not in the models`);
  if (Object.keys(map).some((name) => failures(key, name).length > 0)) {
    findings.add(path, quoted(map), `Map keys must satisfy constraint: ${constraintList(key)}`);
  }
  for (const [name, entry] of Object.entries(map)) {
    if (entry === null) findings.add(`${path}.${name}.member`, 'null', 'Member must not be null');
  }
  if (Object.values(map).some((entry) => entry !== null && failures(value, entry).length > 0)) {
    findings.add(path, quoted(map), `Map value must satisfy constraint: ${constraintList(value)}`);
  }
}

function isScalar(shape: Shape): shape is Scalar {
  return shape.type !== 'structure' && shape.type !== 'list' && shape.type !== 'map';
}

function failures(shape: Shape, value: unknown): string[] {
  const failed: string[] = [];
  if (shape.type === 'string') {
    const text = value as string;
    if (shape.enum !== undefined && !shape.enum.includes(text)) failed.push(enumText(shape.enum));
    if (shape.pattern !== undefined && !matches(shape, shape.pattern, text))
      failed.push(patternText(shape.pattern));
  }
  const measured = measure(value);
  const kind = boundKind(shape);
  if (shape.min !== undefined && measured < shape.min) failed.push(atLeast(kind, shape.min));
  if (shape.max !== undefined && measured > shape.max) failed.push(atMost(kind, shape.max));
  return failed;
}

/** Strings count UTF-16 units, as Java does. */
function measure(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'string' || Array.isArray(value) || value instanceof Uint8Array) return value.length;
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 0;
}

const patterns = new Map<string, RegExp>();

function matches(shape: { readonly max?: number }, pattern: string, text: string): boolean {
  if (shape.max !== undefined && text.length > shape.max && text.length > MATCHED_CHARS_MAX) return true;
  let compiled = patterns.get(pattern);
  if (compiled === undefined) {
    compiled = new RegExp(`^(?:${pattern})$`);
    patterns.set(pattern, compiled);
  }
  return compiled.test(text);
}

/** All constraints of an element in AWS's order: the greatest first. */
function constraintList(shape: Scalar): string {
  const kind = boundKind(shape);
  const texts: string[] = [];
  if (shape.max !== undefined) texts.push(atMost(kind, shape.max));
  if (shape.min !== undefined) texts.push(atLeast(kind, shape.min));
  if (shape.type === 'string' && shape.pattern !== undefined) texts.push(patternText(shape.pattern));
  if (shape.type === 'string' && shape.enum !== undefined) texts.push(enumText(shape.enum));
  return `[${texts.join(', ')}]`;
}

function boundKind(shape: Shape): 'value' | 'length' {
  return shape.type === 'integer' || shape.type === 'long' ? 'value' : 'length';
}

function atLeast(kind: string, bound: number): string {
  return `Member must have ${kind} greater than or equal to ${bound}`;
}

function atMost(kind: string, bound: number): string {
  return `Member must have ${kind} less than or equal to ${bound}`;
}

function patternText(pattern: string): string {
  return `Member must satisfy regular expression pattern: ${pattern}`;
}

function enumText(values: readonly string[]): string {
  return `Member must satisfy enum value set: [${values.join(', ')}]`;
}

/** The value as Java prints it, in quotes; null when it is too long to print. */
function quoted(value: unknown): string | null {
  const text = printed(value);
  return text === null || text.length > PRINTED_CHARS_MAX ? null : `'${text}'`;
}

function printed(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value);
  if (value instanceof Uint8Array)
    return `java.nio.HeapByteBuffer[pos=0 lim=${value.length} cap=${value.length}]`;
  if (Array.isArray(value)) return printedAll('[', value, printed, ']');
  return printedAll('{', Object.entries(value as object), ([key, entry]) => printedEntry(key, entry), '}');
}

function printedEntry(key: string, entry: unknown): string | null {
  const text = printed(entry);
  return text === null ? null : `${key}=${text}`;
}

/** Gives up early: a list may hold megabytes. */
function printedAll<T>(
  open: string,
  items: readonly T[],
  print: (item: T) => string | null,
  close: string,
): string | null {
  const texts: string[] = [];
  let length = 0;
  for (const item of items) {
    const text = print(item);
    length += text?.length ?? 0;
    if (text === null || length > PRINTED_CHARS_MAX) return null;
    texts.push(text);
  }
  return `${open}${texts.join(', ')}${close}`;
}
