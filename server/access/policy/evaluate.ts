// The decision: an explicit deny wins, then an allow, and otherwise nothing is allowed (IAM User Guide, Policy evaluation
// logic, within one account).
import { holds } from './conditions.ts';
import type { Policy, Statement } from './parse-policy.ts';
import { reachOf } from './principals.ts';
import type { PolicyPrincipal, Reach } from './principals.ts';
import { matchesTemplate } from './template.ts';
import type { ContextLookup } from './template.ts';
import { matchesGlob } from './wildcard.ts';

export type PolicySource = 'identity-based' | 'session' | 'resource-based';

export interface PolicyQuestion {
  readonly principal: PolicyPrincipal;
  /** Like `kinesis:PutRecord`. */
  readonly action: string;
  /** An ARN, or `*`. */
  readonly resource: string;
  readonly lookup: ContextLookup;
  readonly identity: readonly Policy[];
  /** Null: no session policy, which is no bound. */
  readonly session: Policy | null;
  /** Of the resource; null: it has none. */
  readonly ofResource: Policy | null;
}

export type Decision =
  | { readonly effect: 'allow'; readonly source: PolicySource; readonly sid: string }
  | { readonly effect: 'explicitDeny'; readonly source: PolicySource; readonly sid: string }
  /** No policy of that kind says anything. */
  | { readonly effect: 'implicitDeny'; readonly source: PolicySource };

export function evaluate(question: PolicyQuestion): Decision {
  const { identity, session, ofResource } = question;
  const all: readonly [PolicySource, readonly Policy[]][] = [
    ['identity-based', identity],
    ['resource-based', ofResource === null ? [] : [ofResource]],
    ['session', session === null ? [] : [session]],
  ];
  for (const [source, policies] of all) {
    const denied = statementOf(policies, 'Deny', question);
    if (denied !== undefined) return { effect: 'explicitDeny', source, sid: denied.sid };
  }
  if (session !== null && statementOf([session], 'Allow', question) === undefined)
    return { effect: 'implicitDeny', source: 'session' };
  for (const [source, policies] of all.slice(0, 2)) {
    const allowed = statementOf(policies, 'Allow', question);
    if (allowed !== undefined) return { effect: 'allow', source, sid: allowed.sid };
  }
  return { effect: 'implicitDeny', source: 'identity-based' };
}

function statementOf(
  policies: readonly Policy[],
  effect: Statement['effect'],
  question: PolicyQuestion,
): Statement | undefined {
  for (const { statements } of policies) {
    const found = statements.find((one) => one.effect === effect && applies(one, question));
    if (found !== undefined) return found;
  }
  return undefined;
}

function applies(statement: Statement, question: PolicyQuestion): boolean {
  const { actions, resources, conditions, principals } = statement;
  const { lookup, resource } = question;
  const action = question.action.toLowerCase();
  return (
    (principals === null || reaches(reachOf(principals, question.principal), statement.effect)) &&
    actions.isNegated !== actions.globs.some((glob) => matchesGlob(glob, action)) &&
    resources.isNegated !==
      resources.templates.some((template) => matchesTemplate(template, resource, lookup)) &&
    conditions.every((condition) => holds(condition, lookup))
  );
}

/** To allow the account is to let its users' own policies decide; to deny it is to deny them all. */
function reaches(reach: Reach, effect: Statement['effect']): boolean {
  return effect === 'Deny' ? reach !== null : reach === 'named';
}
