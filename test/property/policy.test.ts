// Goal: a decision is what the rules say, for any policies and any request. Method: random documents against a model that
// reads the JSON anew each time, matches by trying everything, and knows nothing of the implementation.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { evaluate } from '../../server/access/policy/evaluate.ts';
import { parsePolicy } from '../../server/access/policy/parse-policy.ts';
import { PolicyError } from '../../server/access/policy/policy-error.ts';
import { globOf, matchesGlob } from '../../server/access/policy/wildcard.ts';

type Json = Record<string, unknown>;
type Values = Readonly<Record<string, readonly string[]>>;

/** Tries every length for a star. */
function slowMatch(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  const rest = pattern.slice(1);
  if (pattern.startsWith('*'))
    return Array.from({ length: text.length + 1 }, (_, n) => text.slice(n)).some((tail) =>
      slowMatch(rest, tail),
    );
  if (text === '') return false;
  return (pattern.startsWith('?') || pattern[0] === text[0]) && slowMatch(rest, text.slice(1));
}

test('wildcards match what trying everything matches', () => {
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '?'), maxLength: 7 });
  const text = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 9 });
  fc.assert(
    fc.property(pattern, text, (one, other) => {
      expect(matchesGlob(globOf(one), other)).toBe(slowMatch(one, other));
    }),
    { numRuns: 2_000 },
  );
});

const USER = 'arn:aws:iam::000000000000:user/u';
const ROOT = 'arn:aws:iam::000000000000:root';
const ACTIONS = ['k:Get', 'k:Put', 'j:Get'];
const ACTION_PATTERNS = ['*', 'k:*', 'K:get', 'k:P?t', 'j:Get', 'k:Gett'];
const RESOURCES = ['arn:aws:k:r:0:s/a', 'arn:aws:k:r:0:s/ab', 'arn:aws:k:r:0:s/u'];
const RESOURCE_PATTERNS = ['*', 'arn:aws:k:r:0:s/a', 'arn:aws:k:*:*:s/a*', 'arn:aws:k:r:0:s/?'];
const KEYS = ['x:A', 'x:B'];
const VALUES = ['a', 'ab', 'b', '1'];
const OPERATORS: Record<string, (wanted: string, actual: string) => boolean> = {
  StringEquals: (wanted, actual) => wanted === actual,
  StringLike: slowMatch,
};
const NEGATED: Record<string, string> = { StringNotEquals: 'StringEquals', StringNotLike: 'StringLike' };

const listOf = (values: string[]) => fc.subarray(values, { minLength: 1 });
const operatorName = fc
  .tuple(
    fc.constantFrom('', 'ForAllValues:', 'ForAnyValue:'),
    fc.constantFrom(...Object.keys(OPERATORS), ...Object.keys(NEGATED)),
    fc.constantFrom('', 'IfExists'),
  )
  .map((parts) => parts.join(''));
const condition = fc.dictionary(
  fc.oneof(operatorName, fc.constant('Null')),
  fc.dictionary(fc.constantFrom(...KEYS), fc.constant(null), { minKeys: 1, maxKeys: 2 }),
  { maxKeys: 2 },
);
const filled = fc
  .tuple(condition, fc.array(listOf([...VALUES, 'a*']), { minLength: 4, maxLength: 4 }), fc.boolean())
  .map(([blocks, lists, isNull]) => {
    let next = 0;
    return Object.fromEntries(
      Object.entries(blocks).map(([operator, keys]) => [
        operator,
        Object.fromEntries(
          Object.keys(keys).map((key) => [
            key,
            operator === 'Null' ? String(isNull) : lists[next++ % lists.length],
          ]),
        ),
      ]),
    );
  });

function statement(isOfResource: boolean): fc.Arbitrary<Json> {
  const principal = fc.constantFrom(
    { Principal: '*' },
    { Principal: { AWS: USER } },
    { Principal: { AWS: [ROOT, '111111111111'] } },
    { NotPrincipal: { AWS: USER } },
    { NotPrincipal: { AWS: [ROOT] } },
  );
  return fc
    .record({
      Effect: fc.constantFrom('Allow', 'Allow', 'Deny'),
      action: fc.tuple(fc.constantFrom('Action', 'Action', 'NotAction'), listOf(ACTION_PATTERNS)),
      resource: fc.tuple(fc.constantFrom('Resource', 'Resource', 'NotResource'), listOf(RESOURCE_PATTERNS)),
      Condition: fc.option(filled, { nil: undefined }),
      principal,
    })
    .map(({ Effect, action, resource, Condition, principal: who }) => ({
      Effect,
      [action[0]]: action[1],
      [resource[0]]: resource[1],
      ...(Condition === undefined ? {} : { Condition }),
      ...(isOfResource ? who : {}),
    }));
}

const policy = (isOfResource: boolean): fc.Arbitrary<Json> =>
  fc
    .array(statement(isOfResource), { minLength: 1, maxLength: 3 })
    .map((Statement) => ({ Version: '2012-10-17', Statement }));

interface Question {
  readonly arn: string;
  readonly action: string;
  readonly resource: string;
  readonly values: Values;
}

function modelCondition(block: Json, { values }: Question): boolean {
  return Object.entries(block).every(([name, keys]) =>
    Object.entries(keys as Json).every(([key, wanted]) => {
      const actual = values[key] ?? [];
      if (name === 'Null') return (wanted === 'true') === (actual.length === 0);
      const [, quantifier = '', operator = '', ifExists] = /^(For\w+:)?(.*?)(IfExists)?$/.exec(name) ?? [];
      const positive = NEGATED[operator];
      const test = OPERATORS[positive ?? operator];
      if (test === undefined) throw new Error(operator);
      if (actual.length === 0) {
        if (ifExists !== undefined || quantifier === 'ForAllValues:') return true;
        return quantifier === '' && positive !== undefined;
      }
      const fits = actual.map((one) => {
        const hit = (wanted as string[]).some((each) => test(each, one));
        return positive === undefined ? hit : !hit;
      });
      if (quantifier === 'ForAllValues:') return fits.every(Boolean);
      if (quantifier === 'ForAnyValue:') return fits.some(Boolean);
      return positive === undefined ? fits.some(Boolean) : fits.every(Boolean);
    }),
  );
}

function modelPrincipal(one: Json, { arn }: Question): boolean {
  const { Principal: listed, NotPrincipal: left } = one as { Principal?: unknown; NotPrincipal?: unknown };
  const namesOf = (element: unknown): string[] => [(element as { AWS: string | string[] }).AWS].flat();
  if (left !== undefined) return !namesOf(left).includes(arn);
  if (listed === undefined || listed === '*') return true;
  const names = namesOf(listed);
  return names.includes(arn) || (one['Effect'] === 'Deny' && names.includes(ROOT));
}

function modelApplies(one: Json, question: Question): boolean {
  const either = (name: string, hits: (pattern: string) => boolean): boolean => {
    const listed = one[name] as string[] | undefined;
    return listed === undefined ? !(one[`Not${name}`] as string[]).some(hits) : listed.some(hits);
  };
  return (
    modelPrincipal(one, question) &&
    either('Action', (pattern) => slowMatch(pattern.toLowerCase(), question.action.toLowerCase())) &&
    either('Resource', (pattern) => slowMatch(pattern, question.resource)) &&
    modelCondition((one['Condition'] as Json | undefined) ?? {}, question)
  );
}

function model(identity: Json[], session: Json | null, ofResource: Json | null, question: Question): string {
  const effects = (documents: (Json | null)[]): unknown[] =>
    documents
      .flatMap((document) => (document === null ? [] : (document['Statement'] as Json[])))
      .filter((one) => modelApplies(one, question))
      .map((one) => one['Effect']);
  if (effects([...identity, session, ofResource]).includes('Deny')) return 'explicitDeny';
  if (session !== null && !effects([session]).includes('Allow')) return 'implicitDeny';
  return effects([...identity, ofResource]).includes('Allow') ? 'allow' : 'implicitDeny';
}

test('decisions are those of the model', () => {
  const question = fc.record({
    arn: fc.constantFrom(USER, USER, ROOT, 'arn:aws:iam::000000000000:user/v'),
    action: fc.constantFrom(...ACTIONS),
    resource: fc.constantFrom(...RESOURCES),
    values: fc.dictionary(fc.constantFrom(...KEYS), fc.subarray(VALUES), { maxKeys: 2 }),
  });
  const maybe = <T>(one: fc.Arbitrary<T>) => fc.option(one, { nil: null });
  const seen = new Set<string>();
  fc.assert(
    fc.property(
      fc.array(policy(false), { maxLength: 2 }),
      maybe(policy(false)),
      maybe(policy(true)),
      question,
      (identity, session, ofResource, asked) => {
        const read = (document: Json, kind: 'identity' | 'session' | 'resource') =>
          parsePolicy(JSON.stringify(document), kind);
        const { effect } = evaluate({
          principal: { arn: asked.arn, accountId: '000000000000' },
          action: asked.action,
          resource: asked.resource,
          identity: identity.map((one) => read(one, 'identity')),
          session: session === null ? null : read(session, 'session'),
          ofResource: ofResource === null ? null : read(ofResource, 'resource'),
          lookup: (key) => asked.values[KEYS.find((name) => name.toLowerCase() === key) ?? ''],
        });
        seen.add(effect);
        expect(effect).toBe(model(identity, session, ofResource, asked));
      },
    ),
    { numRuns: 3_000 },
  );
  expect([...seen].toSorted()).toEqual(['allow', 'explicitDeny', 'implicitDeny']);
});

const MEMBERS = [
  'Version',
  'Id',
  'Statement',
  'Sid',
  'Effect',
  'Action',
  'NotAction',
  'Resource',
  'Principal',
  'Condition',
  'StringEquals',
  'IpAddress',
  'ArnLike',
  'aws:SourceIp',
  '__proto__',
  'toString',
];

test('whatever is given as a document is read or refused with a reason', () => {
  const member = fc.constantFrom(...MEMBERS);
  const text = fc.oneof(
    member,
    fc.constantFrom('2012-10-17', 'Allow', '*', 'k:*', 'arn:aws:k:r:0:s', '${a:b}', '${', '::1/0'),
    fc.string(),
  );
  const { document } = fc.letrec((tie) => ({
    document: fc.oneof(
      { maxDepth: 5, depthSize: 'medium' },
      text,
      fc.integer(),
      fc.constant(null),
      fc.array(tie('document'), { maxLength: 3 }),
      fc.dictionary(member, tie('document'), { maxKeys: 5 }),
    ),
  }));
  const refused = (one: string, kind: 'identity' | 'resource'): string | null => {
    try {
      parsePolicy(one, kind);
      return null;
    } catch (error) {
      if (error instanceof PolicyError) return error.message;
      throw error;
    }
  };
  fc.assert(
    fc.property(document, fc.string(), fc.boolean(), (one, junk, isJunk) => {
      const given = isJunk ? junk : JSON.stringify({ Statement: one });
      for (const kind of ['identity', 'resource'] as const) expect(refused(given, kind)).not.toBe('');
    }),
    { numRuns: 2_000 },
  );
});
