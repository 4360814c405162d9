// The `json` profile: one JSON object in, one canonical document {ts, device, v, q?} out.
// Members that are no scalars and have no place in that document are left out; who needs them keeps `raw`.
import type { Digest } from '../stream/ports.ts';
import type { DecodeContext, Decoded, Profile } from './profile.ts';
import { partitionKeyOf } from './profile.ts';

/** Larger documents are quarantined: no telemetry message is, and parsing one stalls everything else. */
export const JSON_BYTES_MAX = 256 * 1024;
export const JSON_DEPTH_MAX = 32;

/** The largest distance from 1970 a date can have (ECMA-262, time values). */
const TIME_MS_MAX = 8.64e15;
const REASON_CHARACTERS_MAX = 300;

type Scalar = string | number | boolean | null;
type Members = Readonly<Record<string, unknown>>;
type Scalars = Readonly<Record<string, Scalar>>;

interface Document {
  readonly ts: number;
  readonly device: string;
  readonly v: Scalars;
  readonly q?: Scalars;
}

/** Why a payload is no telemetry. Thrown and caught inside this file only. */
class Refused extends Error {}

export function jsonProfile(digest: Digest): Profile {
  return {
    name: 'json',
    decode: (payload, context) => decode(payload, context, digest),
  };
}

function decode(payload: Uint8Array, context: DecodeContext, digest: Digest): Decoded {
  try {
    const document = canonical(parse(payload), context);
    const data = new TextEncoder().encode(JSON.stringify(document));
    return { kind: 'records', records: [{ partitionKey: partitionKeyOf(document.device, digest), data }] };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { kind: 'quarantine', reason: error.message.slice(0, REASON_CHARACTERS_MAX) };
  }
}

function parse(payload: Uint8Array): Members {
  if (payload.length === 0) throw new Refused('the payload is empty');
  if (payload.length > JSON_BYTES_MAX) {
    throw new Refused(`the payload has ${payload.length} bytes, more than ${JSON_BYTES_MAX}`);
  }
  const text = decodeUtf8(payload);
  checkDepth(payload);
  const value = parseJson(text);
  if (isMembers(value)) return value;
  throw new Refused(`the payload is ${nameOf(value)} instead of a JSON object`);
}

function decodeUtf8(payload: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(payload);
  } catch {
    throw new Refused('the payload is not valid UTF-8');
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Refused(`the payload is not valid JSON: ${error instanceof Error ? error.message : 'unknown'}`);
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** On the bytes and before parsing: nesting is refused before anything recursive sees it. */
function checkDepth(payload: Uint8Array): void {
  let depth = 0;
  let isInString = false;
  for (let at = 0; at < payload.length; at += 1) {
    const byte = payload[at] ?? 0;
    if (byte === QUOTE) isInString = !isInString;
    else if (isInString && byte === BACKSLASH) at += 1;
    else if (!isInString && OPENING.has(byte)) depth += 1;
    else if (!isInString && CLOSING.has(byte)) depth -= 1;
    if (depth > JSON_DEPTH_MAX) throw new Refused(`the payload nests deeper than ${JSON_DEPTH_MAX} levels`);
  }
}

function canonical(members: Members, { source, nowMs }: DecodeContext): Document {
  const ts = timeOf(members) ?? nowMs;
  const device = deviceOf(members) ?? source;
  if (!isMembers(members['v'])) return { ts, device, ...looseValues(members) };
  const v = scalarsOf(members['v'], 'v');
  return members['q'] === undefined ? { ts, device, v } : { ts, device, v, q: qualityOf(members['q']) };
}

function timeOf(members: Members): number | undefined {
  const ts = members['ts'];
  if (ts === undefined) return undefined;
  if (typeof ts !== 'number')
    throw new Refused(`member ts is ${nameOf(ts)} instead of a number of milliseconds`);
  if (Math.abs(ts) <= TIME_MS_MAX) return Math.round(ts);
  throw new Refused('member ts is outside the range of dates');
}

function deviceOf(members: Members): string | undefined {
  const device = members['device'];
  if (device === undefined) return undefined;
  if (typeof device === 'string' && device.length > 0) return device;
  throw new Refused(
    `member device is ${device === '' ? 'empty' : nameOf(device)} instead of a non-empty string`,
  );
}

/** A flat object: every scalar but ts and device is a value, an object `q` their quality. */
function looseValues(members: Members): { v: Scalars; q?: Scalars } {
  const names = Object.entries(members).filter(([name]) => name !== 'ts' && name !== 'device');
  const scalars = names.flatMap(([name, value]): [string, Scalar][] =>
    isScalar(value) ? [[name, value]] : [],
  );
  if (scalars.length === 0)
    throw new Refused('the object has no member that is a number, string, boolean or null');
  const v = finite(Object.fromEntries(scalars));
  return isMembers(members['q']) ? { v, q: qualityOf(members['q']) } : { v };
}

function qualityOf(q: unknown): Scalars {
  if (isMembers(q)) return scalarsOf(q, 'q');
  throw new Refused(`member q is ${nameOf(q)} instead of an object`);
}

function scalarsOf(members: Members, path: string): Scalars {
  const entries = Object.entries(members).map(([name, value]): [string, Scalar] => {
    if (isScalar(value)) return [name, value];
    throw new Refused(`member ${path}.${name} is ${nameOf(value)} instead of a scalar`);
  });
  // fromEntries defines own properties, so a member named __proto__ stays a member.
  return finite(Object.fromEntries(entries));
}

/** 1e999 parses as Infinity, which JSON cannot carry: it would silently become null. */
function finite(scalars: Scalars): Scalars {
  const broken = Object.entries(scalars).find(
    ([, value]) => typeof value === 'number' && !Number.isFinite(value),
  );
  if (broken === undefined) return scalars;
  throw new Refused(`value ${broken[0]} is a number too large to represent`);
}

function isScalar(value: unknown): value is Scalar {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nameOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
