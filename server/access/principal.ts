// Who calls: the root of the account, which may do everything, or one of its users.
import { parsePolicy } from './policy/parse-policy.ts';
import type { Policy } from './policy/parse-policy.ts';
import type { PolicyPrincipal } from './policy/principals.ts';

export interface Principal extends PolicyPrincipal {
  readonly isRoot: boolean;
  /** `aws:userid`: the account of the root, else an id that no second user of that name ever gets. */
  readonly userId: string;
  /** Undefined: the root. */
  readonly userName: string | undefined;
  readonly policies: readonly Policy[];
  /** Of temporary credentials. Null: those of a long-term key. */
  readonly session: PrincipalSession | null;
}

export interface PrincipalSession {
  readonly issuedAtMs: number;
  /** Bounds what the policies above allow. Null: it does not. */
  readonly policy: Policy | null;
}

const EVERYTHING = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}';

export function rootOf(accountId: string): Principal {
  return {
    arn: `arn:aws:iam::${accountId}:root`,
    accountId,
    isRoot: true,
    userId: accountId,
    userName: undefined,
    policies: [parsePolicy(EVERYTHING, 'identity')],
    session: null,
  };
}

export function userArn(accountId: string, name: string): string {
  return `arn:aws:iam::${accountId}:user/${name}`;
}
