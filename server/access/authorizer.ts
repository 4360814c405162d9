// May this caller do this to that? The caller's policies, the bound of its session, and the policy of the resource.
import type { Clock } from '../../stream/ports.ts';
import type { Caller } from './caller.ts';
import { evaluate } from './policy/evaluate.ts';
import type { Decision } from './policy/evaluate.ts';
import { parsePolicy } from './policy/parse-policy.ts';
import type { Policy } from './policy/parse-policy.ts';
import { PolicyError } from './policy/policy-error.ts';
import { contextOf } from './request-context.ts';
import type { RequestedTags, Tags } from './request-context.ts';

export interface AuthorizerParts {
  readonly region: string;
  readonly clock: Clock;
  /** The document of a resource's own policy; undefined: it has none. */
  readonly policyOf: (resourceArn: string) => string | undefined;
  /** Undefined: there is no such resource. */
  readonly tagsOf: (resourceArn: string) => Tags | undefined;
}

const READ_POLICIES_MAX = 256;

export class Authorizer {
  readonly #parts: AuthorizerParts;
  /** By their text. */
  readonly #readPolicies = new Map<string, Policy>();

  constructor(parts: AuthorizerParts) {
    this.#parts = parts;
  }

  decide(caller: Caller, action: string, resource: string, requested?: RequestedTags): Decision {
    const { principal } = caller;
    const session = principal.session?.policy ?? null;
    if (principal.isRoot && session === null) return ROOT_MAY;
    const { region, clock, tagsOf } = this.#parts;
    return evaluate({
      principal,
      action,
      resource,
      identity: principal.policies,
      session,
      // No document may lock the root out, who else could mend it?
      ofResource: principal.isRoot ? null : this.#policyOf(resource),
      lookup: contextOf({
        caller,
        nowMs: clock.wallMs(),
        region,
        tagsOfResource: () => tagsOf(resource),
        requested,
      }),
    });
  }

  /** Null: it is allowed. Otherwise the text that AWS refuses with. */
  denialOf(caller: Caller, action: string, resource: string, requested?: RequestedTags): string | null {
    const decision = this.decide(caller, action, resource, requested);
    if (decision.effect === 'allow') return null;
    const reason = reasonOf(decision, action);
    return `User: ${caller.principal.arn} is not authorized to perform: ${action} on resource: ${resource} ${reason}`;
  }

  #policyOf(resource: string): Policy | null {
    const text = this.#parts.policyOf(resource);
    if (text === undefined) return null;
    const known = this.#readPolicies.get(text);
    if (known !== undefined) return known;
    const policy = readOrDeny(text);
    if (this.#readPolicies.size >= READ_POLICIES_MAX) this.#readPolicies.clear();
    this.#readPolicies.set(text, policy);
    return policy;
  }
}

const ROOT_MAY: Decision = { effect: 'allow', source: 'identity-based', sid: '' };

/** The end of the sentence (IAM User Guide, Access denied error message examples). */
export function reasonOf(decision: Exclude<Decision, { effect: 'allow' }>, action: string): string {
  if (decision.effect === 'implicitDeny')
    return `because no ${decision.source} policy allows the ${action} action`;
  const article = decision.source === 'identity-based' ? 'an' : 'a';
  return `with an explicit deny in ${article} ${decision.source} policy`;
}

const DENY_ALL =
  '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}';

/** It was readable when it was stored. If it is not any more, what it denied must not be allowed now. */
function readOrDeny(text: string): Policy {
  try {
    return parsePolicy(text, 'resource');
  } catch (error) {
    if (error instanceof PolicyError) return parsePolicy(DENY_ALL, 'resource');
    throw error;
  }
}
