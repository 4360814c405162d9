// The operators of conditions (IAM User Guide, IAM JSON policy elements: Condition operators): how a value of the policy
// is read, and how a value of the request is compared with it.
import { BlockList, isIP } from 'node:net';
import { PolicyError } from './policy-error.ts';
import { matchesTemplate, parseTemplate } from './template.ts';
import type { ContextLookup, TemplateOptions } from './template.ts';

/** Whether a value of the request is what the policy's value says. */
export type Test = (actual: string, lookup: ContextLookup) => boolean;

export interface Operator {
  /** True when none of the policy's values may fit. */
  readonly isNegated: boolean;
  /** Throws PolicyError when the policy's value is none of this kind. */
  readonly read: (wanted: string, path: string, variables: boolean) => Test;
}

/** Null is no comparison: it looks whether there is a value at all. */
export const NULL_OPERATOR = 'Null';

const text =
  (options: Pick<TemplateOptions, 'wildcards'>, fold: (value: string) => string = (value) => value) =>
  (wanted: string, path: string, variables: boolean): Test => {
    const template = parseTemplate(fold(wanted), path, { ...options, variables });
    return (actual, lookup) =>
      matchesTemplate(template, fold(actual), (key) => lookup(key)?.map((value) => fold(value)));
  };

const exact = text({ wildcards: false });
const like = text({ wildcards: true });
const anyCase = text({ wildcards: false }, (value) => value.toLowerCase());

const ARN_PARTS = 6;

/** Each of the six parts on its own: a star of the region does not reach into the account. */
function arn(wanted: string, path: string, variables: boolean): Test {
  const parts = arnParts(wanted);
  if (parts.length !== ARN_PARTS) throw new PolicyError(path, `${shown(wanted)} is no ARN of six parts`);
  const templates = parts.map((part) => parseTemplate(part, path, { wildcards: true, variables }));
  return (actual, lookup) => {
    const given = arnParts(actual);
    return (
      given.length === ARN_PARTS &&
      templates.every((template, at) => matchesTemplate(template, given[at] ?? '', lookup))
    );
  };
}

/** The last part may hold colons; those of a variable's name divide nothing. */
function arnParts(value: string): string[] {
  const pieces = value.match(/(?:\$\{[^}]*\}|[^:])+|:/g) ?? [];
  const parts = [''];
  for (const piece of pieces) {
    if (piece === ':' && parts.length < ARN_PARTS) parts.push('');
    else parts[parts.length - 1] += piece;
  }
  return parts;
}

const number =
  (compare: (actual: number, wanted: number) => boolean) =>
  (wanted: string, path: string): Test => {
    const value = numberOf(wanted);
    if (value === null) throw new PolicyError(path, `${shown(wanted)} is no number`);
    return (actual) => {
      const given = numberOf(actual);
      return given !== null && compare(given, value);
    };
  };

function numberOf(value: string): number | null {
  return /^[+-]?\d{1,15}(\.\d{1,15})?$/.test(value) ? Number(value) : null;
}

const date =
  (compare: (actual: number, wanted: number) => boolean) =>
  (wanted: string, path: string): Test => {
    const value = dateOf(wanted);
    if (value === null)
      throw new PolicyError(path, `${shown(wanted)} is no date; write it like 2026-01-31T12:00:00Z`);
    return (actual) => {
      const given = dateOf(actual);
      return given !== null && compare(given, value);
    };
  };

/** Milliseconds since the epoch, of an ISO 8601 date or of epoch seconds. */
function dateOf(value: string): number | null {
  if (/^\d{1,12}$/.test(value)) return Number(value) * 1000;
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d))?$/.test(value)) return null;
  const ms = Date.parse(value);
  return Number.isNaN(ms) ? null : ms;
}

function bool(wanted: string, path: string): Test {
  const value = wanted.toLowerCase();
  if (value !== 'true' && value !== 'false')
    throw new PolicyError(path, `${shown(wanted)} is neither true nor false`);
  return (actual) => actual.toLowerCase() === value;
}

function address(wanted: string, path: string): Test {
  const [host = '', bits] = wanted.split('/');
  const family = isIP(host);
  const widest = family === 4 ? 32 : 128;
  const prefix = bits === undefined ? widest : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
  if (family === 0 || prefix < 0 || prefix > widest || wanted.split('/').length > 2)
    throw new PolicyError(path, `${shown(wanted)} is no address range; write it like 192.0.2.0/24`);
  const range = new BlockList();
  range.addSubnet(host, prefix, family === 4 ? 'ipv4' : 'ipv6');
  return (actual) => {
    const given = isIP(actual);
    return given !== 0 && range.check(actual, given === 4 ? 'ipv4' : 'ipv6');
  };
}

function binary(wanted: string, path: string): Test {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(wanted))
    throw new PolicyError(path, `${shown(wanted)} is no base64`);
  return (actual) => actual === wanted;
}

function shown(value: string): string {
  return JSON.stringify(value.slice(0, 100));
}

const is = (read: Operator['read']): Operator => ({ isNegated: false, read });
const isNot = (read: Operator['read']): Operator => ({ isNegated: true, read });

function ordered(prefix: string, of: typeof number | typeof date): [string, Operator][] {
  const same = of((a, b) => a === b);
  return [
    [`${prefix}Equals`, is(same)],
    [`${prefix}NotEquals`, isNot(same)],
    [`${prefix}LessThan`, is(of((a, b) => a < b))],
    [`${prefix}LessThanEquals`, is(of((a, b) => a <= b))],
    [`${prefix}GreaterThan`, is(of((a, b) => a > b))],
    [`${prefix}GreaterThanEquals`, is(of((a, b) => a >= b))],
  ];
}

export const OPERATORS: ReadonlyMap<string, Operator> = new Map([
  ['StringEquals', is(exact)],
  ['StringNotEquals', isNot(exact)],
  ['StringEqualsIgnoreCase', is(anyCase)],
  ['StringNotEqualsIgnoreCase', isNot(anyCase)],
  ['StringLike', is(like)],
  ['StringNotLike', isNot(like)],
  ...ordered('Numeric', number),
  ...ordered('Date', date),
  ['Bool', is(bool)],
  ['BinaryEquals', is(binary)],
  ['IpAddress', is(address)],
  ['NotIpAddress', isNot(address)],
  ['ArnEquals', is(arn)],
  ['ArnNotEquals', isNot(arn)],
  ['ArnLike', is(arn)],
  ['ArnNotLike', isNot(arn)],
  [NULL_OPERATOR, is(bool)],
]);
