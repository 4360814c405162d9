// Single values of a body as a service takes them: the conversions and their texts are those that AWS answers with
// (SerializationException). Blobs and timestamps are what the encodings of bodies do differently.
import { serializationError } from './service-error.ts';
import type { ScalarShape } from './shape.ts';

export interface BodyScalars {
  /** Throws SerializationException. */
  readonly blob: (value: unknown) => Uint8Array;
  /** Milliseconds since 1970 of a timestamp's number. */
  readonly timestampMs: (value: number) => number;
}

/** Kinesis API: base64 text, seconds with a fraction. */
export const JSON_SCALARS: BodyScalars = {
  blob: base64Blob,
  timestampMs: (seconds) => Math.round(seconds * 1000),
};

/** What the SDKs for Java send: byte strings, milliseconds under tag 1. */
export const CBOR_SCALARS: BodyScalars = {
  blob: (value) => {
    if (value instanceof Uint8Array) return value;
    throw conversionError(value, 'a Blob');
  },
  timestampMs: Math.round,
};

const INTEGER_MAX = 2 ** 31 - 1;
/** A longer text is cut where an error repeats it. */
const SHOWN_CHARS_MAX = 2048;

export function coerceScalar(scalars: BodyScalars, type: ScalarShape['type'], value: unknown): unknown {
  switch (type) {
    case 'string':
      return coerceString(value);
    case 'blob':
      return scalars.blob(value);
    case 'boolean':
      return coerceBoolean(value);
    case 'timestamp':
      return coerceNumber(value, 'milliseconds since epoch', (n) => clampSafe(scalars.timestampMs(n)));
    case 'integer':
      return coerceNumber(value, 'an Integer', (n) => clamp(Math.floor(n), -INTEGER_MAX - 1, INTEGER_MAX));
    case 'long':
      return coerceNumber(value, 'an Long', (n) => clampSafe(Math.floor(n)));
  }
}

export function coerceString(value: unknown): string {
  if (typeof value !== 'string') throw conversionError(value, 'an String');
  if (!value.isWellFormed()) throw serializationError('Unpaired surrogate in a string');
  return value;
}

function coerceBoolean(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') {
    throw serializationError(`'${value.toUpperCase()}' can not be converted to an Boolean`);
  }
  throw conversionError(value, 'an Boolean');
}

/** CBOR has a number that is none; it passes every bound. */
function coerceNumber(value: unknown, target: string, convert: (value: number) => number): number {
  if (typeof value !== 'number' || Number.isNaN(value)) throw conversionError(value, target);
  return convert(value);
}

/**
 * Node decodes bad base64 without a word: it leaves out what it does not know, so that the length comes out wrong, and
 * takes the alphabet of URLs too.
 */
function base64Blob(value: unknown): Uint8Array {
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
  const shown = value.length > SHOWN_CHARS_MAX ? `${value.slice(0, SHOWN_CHARS_MAX)}…` : value;
  return serializationError(`'${shown}' can not be converted to a Blob: ${problem}`);
}

function conversionError(value: unknown, target: string): Error {
  if (Array.isArray(value)) return serializationError('Start of list found where not expected');
  if (typeof value === 'object' && !(value instanceof Uint8Array))
    return serializationError('Start of structure or map found where not expected.');
  return serializationError(`class ${javaClass(value)} can not be converted to ${target}`);
}

function javaClass(value: unknown): string {
  if (typeof value === 'number') return 'com.amazon.coral.value.json.numbers.TruncatingBigNumber';
  if (value instanceof Uint8Array) return 'java.nio.HeapByteBuffer';
  return typeof value === 'boolean' ? 'java.lang.Boolean' : 'java.lang.String';
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** Numbers may be infinite (`1e999` in JSON). */
function clampSafe(value: number): number {
  return clamp(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
}
