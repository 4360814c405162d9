// Goal: the policy language is read whole or refused with the place and the reason, and every operator compares as the IAM
// User Guide says. Method: tables.
import { describe, expect, it } from 'vitest';
import { evaluate } from '../../server/access/policy/evaluate.ts';
import { parsePolicy } from '../../server/access/policy/parse-policy.ts';
import type { PolicyKind } from '../../server/access/policy/parse-policy.ts';
import { PolicyError } from '../../server/access/policy/policy-error.ts';

const ACCOUNT = '000000000000';
const USER = `arn:aws:iam::${ACCOUNT}:user/ada`;
const STREAM = `arn:aws:kinesis:us-east-1:${ACCOUNT}:stream/s`;

type Context = Readonly<Record<string, string | readonly string[]>>;

function lookupIn(context: Context) {
  return (key: string): readonly string[] | undefined => {
    const value = Object.entries(context).find(([name]) => name.toLowerCase() === key)?.[1];
    return value === undefined || typeof value !== 'string' ? value : [value];
  };
}

function allows(
  statement: object,
  context: Context = {},
  resource = STREAM,
  version = '2012-10-17',
): boolean {
  const document = {
    Version: version,
    Statement: { Effect: 'Allow', Action: '*', Resource: '*', ...statement },
  };
  const decision = evaluate({
    principal: { arn: USER, accountId: ACCOUNT },
    action: 'kinesis:PutRecord',
    resource,
    identity: [parsePolicy(JSON.stringify(document), 'identity')],
    session: null,
    ofResource: null,
    lookup: lookupIn(context),
  });
  return decision.effect === 'allow';
}

function refusal(document: unknown, kind: PolicyKind = 'identity'): string {
  try {
    parsePolicy(typeof document === 'string' ? document : JSON.stringify(document), kind);
  } catch (error) {
    if (error instanceof PolicyError) return error.message;
    throw error;
  }
  return 'accepted';
}

const good = { Effect: 'Allow', Action: 'kinesis:*', Resource: '*' };
const one = (statement: object) => ({ Version: '2012-10-17', Statement: [statement] });

describe('a document is refused', () => {
  it.each([
    ['', 'is no JSON: Unexpected end of JSON input'],
    ['[]', 'must be an object'],
    ['null', 'must be an object'],
    [{ Version: '2012-10-17' }, 'Statement: must be one statement or a list of 1..100'],
    [{ Version: '2020-01-01', Statement: good }, 'Version: must be one of 2008-10-17, 2012-10-17'],
    [{ Statement: good, More: 1 }, 'More is none of Version, Id, Statement'],
    [one({ ...good, Effect: 'allow' }), 'Statement[0].Effect: must be Allow or Deny'],
    [one({ ...good, Sid: 'a/b' }), 'Statement[0].Sid: must be at most 128 letters, digits, spaces, - or _'],
    [one({ ...good, NotAction: '*' }), 'Statement[0]: must have either Action or NotAction'],
    [one({ Effect: 'Deny', Action: '*' }), 'Statement[0]: must have either Resource or NotResource'],
    [one({ ...good, Action: [] }), 'Statement[0].Action: must not be an empty list'],
    [one({ ...good, Action: [{}] }), 'Statement[0].Action: must be a text or a list of texts'],
    [
      one({ ...good, Action: 'PutRecord' }),
      'Statement[0].Action: "PutRecord" is no action; write it like kinesis:PutRecord',
    ],
    [
      one({ ...good, Resource: 'stream/s' }),
      'Statement[0].Resource: "stream/s" is neither * nor an ARN, which has six parts',
    ],
    [
      one({ ...good, Resource: 'arn:aws:kinesis:*:*:stream/${aws:username' }),
      'Statement[0].Resource: a variable that begins with ${ has no }',
    ],
    [
      one({ ...good, Resource: 'arn:aws:kinesis:*:*:stream/${username}' }),
      'Statement[0].Resource: ${username} is no variable; write it like ${aws:username}',
    ],
    [
      one({ ...good, Condition: { StringIs: { 'aws:username': 'a' } } }),
      'Statement[0].Condition: there is no condition operator StringIs',
    ],
    [
      one({ ...good, Condition: { NullIfExists: { 'aws:username': 'true' } } }),
      'Statement[0].Condition: there is no condition operator NullIfExists',
    ],
    [
      one({ ...good, Condition: { StringEquals: { username: 'a' } } }),
      'Statement[0].Condition.StringEquals.username: a condition key is written like aws:SourceIp',
    ],
    [
      one({ ...good, Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/33' } } }),
      'Statement[0].Condition.IpAddress.aws:SourceIp: "10.0.0.0/33" is no address range; write it like 192.0.2.0/24',
    ],
    [
      one({ ...good, Condition: { NumericEquals: { 'aws:EpochTime': 'soon' } } }),
      'Statement[0].Condition.NumericEquals.aws:EpochTime: "soon" is no number',
    ],
    [
      one({ ...good, Condition: { DateLessThan: { 'aws:CurrentTime': '1 May' } } }),
      'Statement[0].Condition.DateLessThan.aws:CurrentTime: "1 May" is no date; write it like 2026-01-31T12:00:00Z',
    ],
    [
      one({ ...good, Condition: { Bool: { 'aws:SecureTransport': 'yes' } } }),
      'Statement[0].Condition.Bool.aws:SecureTransport: "yes" is neither true nor false',
    ],
    [
      one({ ...good, Condition: { ArnLike: { 'aws:PrincipalArn': 'ada' } } }),
      'Statement[0].Condition.ArnLike.aws:PrincipalArn: "ada" is no ARN of six parts',
    ],
    [
      one({ ...good, Principal: '*' }),
      'Statement[0]: Principal is none of Sid, Effect, Action, NotAction, Resource, NotResource, Condition',
    ],
    [
      {
        Statement: [
          { ...good, Sid: 'A' },
          { ...good, Sid: 'A' },
        ],
      },
      'Statement: the Sid A stands in two statements',
    ],
  ])('%j', (document, reason) => {
    expect(refusal(document)).toBe(reason);
  });

  it.each([
    [good, 'Statement[0]: must have either Principal or NotPrincipal'],
    [
      { ...good, Principal: { Service: 'x' } },
      'Statement[0].Principal: must be * or {"AWS": …}: services and federated users do not exist here',
    ],
    [
      { ...good, Principal: { AWS: 'ada' } },
      'Statement[0].Principal: "ada" is no principal: write *, an account id, or the ARN of an account root or of a user',
    ],
    [{ ...good, NotPrincipal: '*' }, 'Statement[0].NotPrincipal: would be nobody; name whom to leave out'],
  ])('of a resource: %j', (statement, reason) => {
    expect(refusal(one(statement), 'resource')).toBe(reason);
  });

  it('that is too long or has too many statements', () => {
    const long = JSON.stringify({ ...one(good), Id: 'x'.repeat(7_000) });
    expect(refusal(long)).toBe(`has ${long.length} characters; at most 6144 are allowed`);
    expect(refusal(JSON.stringify({ ...one(good), Id: 'x'.repeat(3_000) }), 'session')).toContain('2048');
    expect(refusal({ Statement: Array.from({ length: 101 }, () => 1) })).toContain('1..100');
  });
});

describe('hostile documents', () => {
  it('nested as deep as they may be are read or refused, never a crash', () => {
    const deep = (open: string, close: string) => open.repeat(3_000) + close.repeat(3_000);
    expect(refusal(deep('[', ']'))).toBe('must be an object');
    const nested = `{"Statement":{"Effect":"Allow","Action":"*","Resource":${deep('[', ']').slice(100, -100)}}}`;
    expect(refusal(nested)).toContain('must be a text');
    expect(refusal('{"__proto__":{"Statement":1},"Statement":[]}')).toContain('__proto__ is none of');
    expect(refusal('{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","constructor":1}}')).toContain(
      'constructor is none of',
    );
  });

  it('cost no more than pattern times text', () => {
    // Each of these would take longer than the universe has been there if stars were tried one in another.
    const arn = `arn:aws:kinesis:us-east-1:${ACCOUNT}:stream/${'a'.repeat(2_000)}`;
    for (const piece of ['*a', '*?', 'a*', '?*', '*aa'])
      expect(allows({ Resource: `${STREAM.slice(0, -1)}${piece.repeat(1_000)}b` }, {}, arn)).toBe(false);
    expect(allows({ Resource: `${STREAM.slice(0, -1)}${'*a'.repeat(1_000)}` }, {}, arn)).toBe(true);
    const condition = { StringLike: { 'x:y': `${'*a'.repeat(1_000)}b` } };
    expect(allows({ Condition: condition }, { 'x:y': 'a'.repeat(2_000) })).toBe(false);
  });
});

describe('conditions', () => {
  const A = 'x:A';
  it.each<[string, string | string[], string | string[] | undefined, boolean]>([
    ['StringEquals', 'a', 'a', true],
    ['StringEquals', 'a*', 'ab', false],
    ['StringEquals', ['b', 'a'], 'a', true],
    ['StringEquals', 'a', undefined, false],
    ['StringEqualsIfExists', 'a', undefined, true],
    ['StringNotEquals', ['a', 'b'], 'b', false],
    ['StringNotEquals', ['a', 'b'], 'c', true],
    ['StringNotEquals', 'a', undefined, true],
    ['StringEqualsIgnoreCase', 'ÄB', 'äb', true],
    ['StringNotEqualsIgnoreCase', 'ab', 'AB', false],
    ['StringLike', 'a?c*', 'abcd', true],
    ['StringLike', 'a?c*', 'ac', false],
    ['StringNotLike', 'a*', 'b', true],
    ['NumericEquals', '1.0', '1', true],
    ['NumericNotEquals', '1', 'x', true],
    ['NumericLessThan', '10', '9', true],
    ['NumericLessThanEquals', '10', '10', true],
    ['NumericGreaterThan', '10', '10', false],
    ['NumericGreaterThanEquals', '-1', '0', true],
    ['DateEquals', '2026-01-01T00:00:00Z', '1767225600', true],
    ['DateNotEquals', '2026-01-01', '2026-01-01T00:00:00Z', false],
    ['DateLessThan', '2026-01-01T00:00:00+01:00', '2025-12-31T22:59:59Z', true],
    ['DateLessThanEquals', '0', '1970-01-01', true],
    ['DateGreaterThan', '2026-01-01', '2025-01-01', false],
    ['DateGreaterThanEquals', '2026-01-01', '2026-01-01', true],
    ['Bool', 'TRUE', 'true', true],
    ['Bool', 'true', 'false', false],
    ['BinaryEquals', 'aGk=', 'aGk=', true],
    ['IpAddress', '192.0.2.0/24', '192.0.2.255', true],
    ['IpAddress', '192.0.2.0/24', '192.0.3.0', false],
    ['IpAddress', '192.0.2.1', '192.0.2.1', true],
    ['IpAddress', '2001:db8::/32', '2001:db8:1::1', true],
    ['IpAddress', '0.0.0.0/0', '::1', false],
    ['IpAddress', '0.0.0.0/0', 'nowhere', false],
    ['NotIpAddress', '10.0.0.0/8', '11.0.0.1', true],
    ['NotIpAddress', '10.0.0.0/8', '10.1.1.1', false],
    ['ArnEquals', 'arn:aws:iam::*:user/a*', 'arn:aws:iam::1:user/ab', true],
    ['ArnLike', 'arn:aws:*:us:1:x', 'arn:aws:s3:eu:us:1:x', false],
    ['ArnNotEquals', 'arn:aws:iam::1:user/a', 'arn:aws:iam::1:user/a', false],
    ['ArnNotLike', 'arn:aws:iam::1:user/a', 'text', true],
    ['Null', 'true', undefined, true],
    ['Null', 'false', undefined, false],
    ['Null', 'false', 'a', true],
    ['ForAllValues:StringEquals', ['a', 'b'], ['a', 'b', 'a'], true],
    ['ForAllValues:StringEquals', ['a', 'b'], ['a', 'c'], false],
    ['ForAllValues:StringEquals', 'a', undefined, true],
    ['ForAnyValue:StringEquals', ['a', 'b'], ['c', 'a'], true],
    ['ForAnyValue:StringEquals', 'a', undefined, false],
    ['ForAnyValue:StringEqualsIfExists', 'a', undefined, true],
    ['ForAnyValue:StringNotEquals', 'a', ['a', 'b'], true],
    ['ForAnyValue:StringNotEquals', 'a', undefined, false],
    ['ForAllValues:StringNotLike', 'a*', ['b', 'ab'], false],
  ])('%s %j against %j is %s', (operator, wanted, actual, expected) => {
    const condition = { [operator]: { [A.toUpperCase()]: wanted } };
    expect(allows({ Condition: condition }, actual === undefined ? {} : { [A]: actual })).toBe(expected);
  });

  it('must all hold: operators and keys', () => {
    const Condition = { StringEquals: { 'x:A': 'a', 'x:B': 'b' }, Bool: { 'x:C': true } };
    expect(allows({ Condition }, { 'x:A': 'a', 'x:B': 'b', 'x:C': 'true' })).toBe(true);
    expect(allows({ Condition }, { 'x:A': 'a', 'x:B': 'b', 'x:C': 'false' })).toBe(false);
    expect(allows({ Condition }, { 'x:A': 'a', 'x:C': 'true' })).toBe(false);
  });
});

describe('variables', () => {
  const of = (name: string) => `arn:aws:kinesis:us-east-1:${ACCOUNT}:stream/${name}`;
  it.each<[string, Context, string, boolean]>([
    ['${aws:username}-*', { 'aws:username': 'ada' }, 'ada-1', true],
    ['${aws:username}-*', { 'aws:username': 'ada' }, 'bob-1', false],
    ['${AWS:UserName}', { 'aws:username': 'ada' }, 'ada', true],
    // A caller whose name is a star is no pattern.
    ['${aws:username}', { 'aws:username': '*' }, 'anything', false],
    ['${aws:username}', {}, '${aws:username}', false],
    ["${aws:PrincipalTag/team, 'none'}", {}, 'none', true],
    ["${aws:PrincipalTag/team, 'none'}", { 'aws:PrincipalTag/team': 'x' }, 'x', true],
    ['${x:many}', { 'x:many': ['a', 'b'] }, 'a', false],
    ['${*}${?}${$}', {}, '*?$', true],
    ['${*}', {}, 'a', false],
  ])('%s with %j and %s: %s', (name, context, stream, expected) => {
    expect(allows({ Resource: of(name) }, context, of(stream))).toBe(expected);
  });

  it('stand in conditions too, and do not exist in the old version', () => {
    const Condition = { StringEquals: { 'x:owner': '${aws:username}' } };
    const context = { 'x:owner': 'ada', 'aws:username': 'ada' };
    expect(allows({ Condition }, context)).toBe(true);
    expect(allows({ Condition }, { ...context, 'x:owner': 'bob' })).toBe(false);
    expect(allows({ Condition }, context, STREAM, '2008-10-17')).toBe(false);
    const arnCondition = { ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:user/${aws:username}' } };
    expect(allows({ Condition: arnCondition }, { 'aws:username': 'ada', 'aws:PrincipalArn': USER })).toBe(
      true,
    );
  });
});

it('a resource that is allowed by its account needs the user to be allowed, too; one that names it does not', () => {
  const decide = (Principal: unknown, identity: object[] = [], Effect = 'Allow') =>
    evaluate({
      principal: { arn: USER, accountId: ACCOUNT },
      action: 'kinesis:PutRecord',
      resource: STREAM,
      identity: identity.map((statement) => parsePolicy(JSON.stringify(one(statement)), 'identity')),
      session: null,
      ofResource: parsePolicy(JSON.stringify(one({ ...good, Effect, Principal })), 'resource'),
      lookup: () => undefined,
    });
  expect(decide({ AWS: USER })).toEqual({ effect: 'allow', source: 'resource-based', sid: '' });
  expect(decide('*').effect).toBe('allow');
  expect(decide({ AWS: ACCOUNT })).toEqual({ effect: 'implicitDeny', source: 'identity-based' });
  expect(decide({ AWS: `arn:aws:iam::${ACCOUNT}:root` }, [good]).effect).toBe('allow');
  expect(decide({ AWS: ['111111111111', `${USER}2`] }).effect).toBe('implicitDeny');
  expect(decide({ AWS: ACCOUNT }, [good], 'Deny')).toEqual({
    effect: 'explicitDeny',
    source: 'resource-based',
    sid: '',
  });
});
