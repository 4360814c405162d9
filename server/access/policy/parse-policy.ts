// Reads a policy document whole or refuses it with the path and the reason (IAM User Guide, Grammar of the IAM JSON
// policy language). What is stored has been read once, so that a decision never meets a document it cannot read.
import { parseConditions } from './conditions.ts';
import type { Condition } from './conditions.ts';
import { membersOf, oneOf, onlyMembers, textsOf } from './document.ts';
import { PolicyError } from './policy-error.ts';
import { parsePrincipals } from './principals.ts';
import type { Principals } from './principals.ts';
import { parseTemplate } from './template.ts';
import type { Template } from './template.ts';
import { globOf } from './wildcard.ts';
import type { Glob } from './wildcard.ts';

export type PolicyKind = 'identity' | 'session' | 'resource';

export interface Statement {
  readonly sid: string;
  readonly effect: 'Allow' | 'Deny';
  /** Null: the policy belongs to the caller. */
  readonly principals: Principals | null;
  /** In lower case: names of actions have no case. */
  readonly actions: { readonly isNegated: boolean; readonly globs: readonly Glob[] };
  readonly resources: { readonly isNegated: boolean; readonly templates: readonly Template[] };
  readonly conditions: readonly Condition[];
}

export interface Policy {
  readonly statements: readonly Statement[];
}

/** IAM and STS quotas: characters of a managed policy and of a session policy; Kinesis: 20 KB of a resource policy. */
const CHARS_MAX: Readonly<Record<PolicyKind, number>> = { identity: 6_144, session: 2_048, resource: 20_480 };
const STATEMENTS_MAX = 100;

const CURRENT_VERSION = '2012-10-17';
const VERSIONS = ['2008-10-17', CURRENT_VERSION];
const STATEMENT_MEMBERS = ['Sid', 'Effect', 'Action', 'NotAction', 'Resource', 'NotResource', 'Condition'];
const PRINCIPAL_MEMBERS = ['Principal', 'NotPrincipal'];
const ACTION = /^(?:\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+)$/;
const SID = /^[a-zA-Z0-9 _-]{0,128}$/;

/** Throws PolicyError. */
export function parsePolicy(text: string, kind: PolicyKind): Policy {
  if (text.length > CHARS_MAX[kind])
    throw new PolicyError('', `has ${text.length} characters; at most ${CHARS_MAX[kind]} are allowed`);
  const document = membersOf(parsed(text), '');
  onlyMembers(document, ['Version', 'Id', 'Statement'], '');
  const version = document['Version'] ?? VERSIONS[0];
  if (!VERSIONS.includes(version as string))
    throw new PolicyError('Version', `must be one of ${VERSIONS.join(', ')}`);
  const list: unknown = document['Statement'];
  const elements: readonly unknown[] = Array.isArray(list) ? list : [list];
  if (list === undefined || elements.length < 1 || elements.length > STATEMENTS_MAX)
    throw new PolicyError('Statement', `must be one statement or a list of 1..${STATEMENTS_MAX}`);
  const statements = elements.map((element, at) =>
    parseStatement(element, `Statement[${at}]`, kind, version === CURRENT_VERSION),
  );
  const sids = statements.map(({ sid }) => sid).filter((sid) => sid !== '');
  const twice = sids.find((sid, at) => sids.indexOf(sid) !== at);
  if (twice !== undefined) throw new PolicyError('Statement', `the Sid ${twice} stands in two statements`);
  return { statements };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new PolicyError('', `is no JSON: ${error instanceof Error ? error.message.slice(0, 200) : ''}`);
  }
}

function parseStatement(element: unknown, path: string, kind: PolicyKind, variables: boolean): Statement {
  const members = membersOf(element, path);
  const isOfResource = kind === 'resource';
  onlyMembers(members, isOfResource ? [...STATEMENT_MEMBERS, ...PRINCIPAL_MEMBERS] : STATEMENT_MEMBERS, path);
  const { Effect: effect, Sid: sid = '', Condition: condition } = members;
  if (typeof sid !== 'string' || !SID.test(sid))
    throw new PolicyError(`${path}.Sid`, 'must be at most 128 letters, digits, spaces, - or _');
  if (effect !== 'Allow' && effect !== 'Deny')
    throw new PolicyError(`${path}.Effect`, 'must be Allow or Deny');
  return {
    sid,
    effect,
    principals: isOfResource ? principalsOf(members, path) : null,
    actions: actionsOf(members, path),
    resources: resourcesOf(members, path, variables),
    conditions: condition === undefined ? [] : parseConditions(condition, `${path}.Condition`, variables),
  };
}

function principalsOf(members: Readonly<Record<string, unknown>>, path: string): Principals {
  const found = oneOf(members, 'Principal', path);
  return parsePrincipals(found.value, found.path, found.isNegated);
}

function actionsOf(members: Readonly<Record<string, unknown>>, path: string): Statement['actions'] {
  const found = oneOf(members, 'Action', path);
  const globs = textsOf(found.value, found.path).map((action) => {
    if (!ACTION.test(action))
      throw new PolicyError(found.path, `${shown(action)} is no action; write it like kinesis:PutRecord`);
    return globOf(action.toLowerCase());
  });
  return { isNegated: found.isNegated, globs };
}

function resourcesOf(
  members: Readonly<Record<string, unknown>>,
  path: string,
  variables: boolean,
): Statement['resources'] {
  const found = oneOf(members, 'Resource', path);
  const templates = textsOf(found.value, found.path).map((resource) => {
    if (!isResource(resource))
      throw new PolicyError(found.path, `${shown(resource)} is neither * nor an ARN, which has six parts`);
    return parseTemplate(resource, found.path, { wildcards: true, variables });
  });
  return { isNegated: found.isNegated, templates };
}

/** A star at the end stands for all parts that are missing. */
function isResource(text: string): boolean {
  return text === '*' || (text.startsWith('arn:') && (text.split(':').length >= 6 || text.endsWith('*')));
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
