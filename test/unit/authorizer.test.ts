// Goal: the context of a request reaches the policies, bounds are bounds, and refusals read as those of AWS.
import { expect, it } from 'vitest';
import { Authorizer } from '../../server/access/authorizer.ts';
import { parsePolicy } from '../../server/access/policy/parse-policy.ts';
import { rootOf } from '../../server/access/principal.ts';
import type { Principal, PrincipalSession } from '../../server/access/principal.ts';
import { authorizeKey, kinesisAuthorize } from '../../server/kinesis/authorize.ts';
import { requestedTags } from '../../server/kinesis/requested-tags.ts';

const ACCOUNT = '000000000000';
const STREAM = `arn:aws:kinesis:us-east-1:${ACCOUNT}:stream/s`;
const clock = { wallMs: () => Date.UTC(2026, 0, 1), monotonicUs: () => 0n };

const document = (...statements: object[]): string =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements });
const allow = { Effect: 'Allow', Action: 'kinesis:*', Resource: '*' };

interface Setting {
  readonly identity?: object[];
  readonly session?: PrincipalSession | null;
  readonly policy?: string;
  readonly tags?: Record<string, string>;
  readonly isSecure?: boolean;
}

function setting({ identity = [], session = null, policy, tags, isSecure = false }: Setting) {
  const principal: Principal = {
    arn: `arn:aws:iam::${ACCOUNT}:user/ada`,
    accountId: ACCOUNT,
    isRoot: false,
    userId: 'AIDAX',
    userName: 'ada',
    policies: identity.length === 0 ? [] : [parsePolicy(document(...identity), 'identity')],
    session,
  };
  const caller = { accessKeyId: 'AK', principal, sourceAddress: '192.0.2.9', isSecure, requestId: 'r' };
  const authorizer = new Authorizer({
    region: 'us-east-1',
    clock,
    policyOf: (arn) => (arn === STREAM ? policy : undefined),
    tagsOf: (arn) => (arn === STREAM ? tags : undefined),
  });
  return { caller, authorizer };
}

function denial(facts: Setting, action = 'kinesis:PutRecord', requested?: ReturnType<typeof requestedTags>) {
  const { caller, authorizer } = setting(facts);
  return authorizer.denialOf(caller, action, STREAM, requested);
}

it('refusals name user, action, resource and what is missing', () => {
  const start = `User: arn:aws:iam::${ACCOUNT}:user/ada is not authorized to perform: kinesis:PutRecord on resource: ${STREAM} `;
  expect(denial({})).toBe(`${start}because no identity-based policy allows the kinesis:PutRecord action`);
  expect(denial({ identity: [allow, { ...allow, Effect: 'Deny' }] })).toBe(
    `${start}with an explicit deny in an identity-based policy`,
  );
  const denied = document({ ...allow, Effect: 'Deny', Principal: '*' });
  expect(denial({ identity: [allow], policy: denied })).toBe(
    `${start}with an explicit deny in a resource-based policy`,
  );
  const session = { issuedAtMs: 0, policy: parsePolicy(document({ ...allow, Action: 'x:*' }), 'session') };
  expect(denial({ identity: [allow], session })).toBe(
    `${start}because no session policy allows the kinesis:PutRecord action`,
  );
  expect(denial({ identity: [allow] })).toBe(null);
});

it('a resource may let a user in, and a session bounds that, too', () => {
  const policy = document({ ...allow, Principal: { AWS: `arn:aws:iam::${ACCOUNT}:user/ada` } });
  expect(denial({ policy })).toBe(null);
  const session = { issuedAtMs: 0, policy: parsePolicy(document({ ...allow, Action: 'x:*' }), 'session') };
  expect(denial({ policy, session })).toContain('no session policy');
  expect(denial({ policy, session: { issuedAtMs: 0, policy: null } })).toBe(null);
});

it('a stored resource policy that cannot be read any more denies', () => {
  expect(denial({ identity: [allow], policy: '{"Statement":1}' })).toContain('explicit deny');
});

it.each<[string, object, boolean]>([
  ['aws:SourceIp', { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } }, true],
  ['aws:CurrentTime', { DateLessThan: { 'aws:CurrentTime': '2026-01-01T00:00:01Z' } }, true],
  ['aws:EpochTime', { NumericEquals: { 'aws:EpochTime': String(Date.UTC(2026, 0, 1) / 1000) } }, true],
  ['aws:SecureTransport', { Bool: { 'aws:SecureTransport': 'true' } }, false],
  ['aws:PrincipalArn', { ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:user/a*' } }, true],
  ['aws:PrincipalAccount', { StringEquals: { 'aws:PrincipalAccount': ACCOUNT } }, true],
  ['aws:PrincipalType', { StringEquals: { 'aws:PrincipalType': 'User' } }, true],
  ['aws:ResourceAccount', { StringEquals: { 'aws:ResourceAccount': '${aws:PrincipalAccount}' } }, true],
  ['aws:RequestedRegion', { StringEquals: { 'aws:RequestedRegion': 'us-east-1' } }, true],
  ['aws:userid', { StringEquals: { 'aws:userid': 'AIDAX' } }, true],
  ['aws:username', { StringEquals: { 'aws:username': 'ada' } }, true],
  ['aws:TokenIssueTime', { Null: { 'aws:TokenIssueTime': 'true' } }, true],
  ['aws:ResourceTag', { StringEquals: { 'aws:ResourceTag/TEAM': 'red' } }, true],
  ['no such tag', { StringEquals: { 'aws:ResourceTag/other': 'red' } }, false],
  ['aws:RequestTag', { StringEquals: { 'aws:RequestTag/cost': '1' } }, true],
  ['aws:TagKeys', { 'ForAllValues:StringEquals': { 'aws:TagKeys': ['cost', 'team'] } }, true],
  ['no such key', { StringEquals: { 'aws:MadeUp': 'x' } }, false],
])('conditions see %s', (_name, Condition, allowed) => {
  const facts = { identity: [{ ...allow, Condition }], tags: { team: 'red' } };
  const requested = requestedTags({ Tags: { cost: '1' } });
  expect(denial(facts, 'kinesis:TagResource', requested) === null).toBe(allowed);
});

it('tags of a request are those it sets or takes away', () => {
  expect(requestedTags({ StreamName: 's' })).toBeUndefined();
  expect(requestedTags({ TagKeys: ['a'] })).toEqual({ tags: {}, keys: ['a'] });
  const identity = [{ ...allow, Condition: { 'ForAnyValue:StringEquals': { 'aws:TagKeys': 'a' } } }];
  expect(denial({ identity }, 'kinesis:UntagResource', requestedTags({ TagKeys: ['a'] }))).toBe(null);
  expect(denial({ identity }, 'kinesis:UntagResource', requestedTags({ TagKeys: ['b'] }))).not.toBe(null);
});

it('the root may do everything, no policy locks it out, but its sessions may be bounded', () => {
  const { caller, authorizer } = setting({ policy: document({ ...allow, Effect: 'Deny', Principal: '*' }) });
  const root = rootOf(ACCOUNT);
  expect(authorizer.denialOf({ ...caller, principal: root }, 'kinesis:PutRecord', STREAM)).toBe(null);
  const policy = parsePolicy(document({ ...allow, Action: 'kinesis:Get*' }), 'session');
  const bounded = { ...caller, principal: { ...root, session: { issuedAtMs: 0, policy } } };
  expect(authorizer.denialOf(bounded, 'kinesis:GetRecords', STREAM)).toBe(null);
  expect(authorizer.denialOf(bounded, 'kinesis:PutRecord', STREAM)).toContain('no session policy');
});

it('the service throws its own exceptions', () => {
  const { caller, authorizer } = setting({});
  const access = { denialOf: authorizer.denialOf.bind(authorizer) };
  expect(() => kinesisAuthorize(access)(caller, 'kinesis:PutRecord', STREAM)).toThrow(
    expect.objectContaining({ type: 'AccessDeniedException', status: 400 }) as Error,
  );
  const key = `arn:aws:kms:us-east-1:${ACCOUNT}:key/1`;
  expect(() => authorizeKey(access, caller, 'kms:Decrypt', key)).toThrow(
    `User: arn:aws:iam::${ACCOUNT}:user/ada is not authorized to perform: kms:Decrypt on resource: ${key}`,
  );
});
