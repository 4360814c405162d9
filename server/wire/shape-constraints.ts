// Second half of checking a body: the bounds, patterns and required members of its shapes, in the words of AWS.
import { clientError } from './service-error.ts';
import { membersOf, shapeNamed } from './shape.ts';
import type { MapShape, ScalarShape, Shape, Shapes, StructureShape } from './shape.ts';

const ERRORS_MAX = 10;
/** A longer value is named by its path only. */
const PRINTED_CHARS_MAX = 2048;
/** Patterns of ARNs backtrack: text beyond its maximum length and this is not matched, its length is error enough. */
const MATCHED_CHARS_MAX = 4096;

/** Throws one ValidationException that lists what is wrong. */
export function checkConstraints(
  shapes: Shapes,
  shape: StructureShape,
  input: Readonly<Record<string, unknown>>,
): void {
  // Nearly all inputs are right: paths and texts are made for the others.
  if (!isValid(shapes, shape, input)) throwFindings(shapes, shape, input);
}

/** Does not throw when `isValid` says that there is nothing to find. */
export function throwFindings(
  shapes: Shapes,
  shape: StructureShape,
  input: Readonly<Record<string, unknown>>,
): void {
  const findings = new Findings();
  checkMembers(shapes, shape, input, '', findings);
  findings.raise();
}

/** Whether there is nothing to find. */
export function isValid(shapes: Shapes, shape: Shape, value: unknown): boolean {
  if (!isWithinBounds(shape, value)) return false;
  if (shape.type === 'structure') {
    const members = value as Readonly<Record<string, unknown>>;
    return membersOf(shapes, shape).every(({ name, shape: memberShape, isRequired }) => {
      const member = members[name];
      return member === undefined ? !isRequired : isValid(shapes, memberShape, member);
    });
  }
  if (shape.type === 'list') {
    const member = shapeNamed(shapes, shape.member);
    return (value as readonly unknown[]).every(
      (element) => element !== null && isValid(shapes, member, element),
    );
  }
  if (shape.type !== 'map') return true;
  const key = shapeNamed(shapes, shape.key);
  const member = shapeNamed(shapes, shape.value);
  return Object.entries(value as Readonly<Record<string, unknown>>).every(
    ([name, entry]) => isWithinBounds(key, name) && entry !== null && isWithinBounds(member, entry),
  );
}

function isWithinBounds(shape: Shape, value: unknown): boolean {
  if (shape.type === 'string') {
    const text = value as string;
    if (shape.enum !== undefined && !shape.enum.includes(text)) return false;
    if (shape.pattern !== undefined && !matches(shape, shape.pattern, text)) return false;
  }
  if (shape.min === undefined && shape.max === undefined) return true;
  const measured = measure(value);
  return measured >= (shape.min ?? -Infinity) && measured <= (shape.max ?? Infinity);
}

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
  shape: StructureShape,
  value: Readonly<Record<string, unknown>>,
  prefix: string,
  findings: Findings,
): void {
  for (const { name, pathName, shape: memberShape, isRequired } of membersOf(shapes, shape)) {
    if (findings.full) return;
    const path = `${prefix}${pathName}`;
    const member = value[name];
    if (member !== undefined) check(shapes, memberShape, member, path, findings);
    else if (isRequired) findings.add(path, 'null', 'Member must not be null');
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
  shape: MapShape,
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

function isScalar(shape: Shape): shape is ScalarShape {
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
function constraintList(shape: ScalarShape): string {
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
