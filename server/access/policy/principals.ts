// The Principal element of resource policies (IAM User Guide, IAM JSON policy elements: Principal). There is one account
// here and it has users: other accounts may be named, but nobody comes from them.
import { membersOf, textsOf } from './document.ts';
import { PolicyError } from './policy-error.ts';

/** Who calls, as a policy names it. */
export interface PolicyPrincipal {
  /** `arn:aws:iam::ACCOUNT:root` or `arn:aws:iam::ACCOUNT:user/NAME`. */
  readonly arn: string;
  /** Twelve digits. */
  readonly accountId: string;
}

export interface Principals {
  readonly isNegated: boolean;
  readonly isAnyone: boolean;
  /** ARNs of users. */
  readonly users: ReadonlySet<string>;
  /** Account ids. */
  readonly accounts: ReadonlySet<string>;
}

/** How a statement reaches a caller: by name, or only as one of the account, which grants nothing without its own policy. */
export type Reach = 'named' | 'account' | null;

const ACCOUNT = /^(?:(\d{12})|arn:aws[a-z-]*:iam::(\d{12}):root)$/;
const USER = /^arn:aws[a-z-]*:iam::\d{12}:user\/[\w+=,.@/-]{1,576}$/;

/** Throws PolicyError. */
export function parsePrincipals(element: unknown, path: string, isNegated: boolean): Principals {
  const users = new Set<string>();
  const accounts = new Set<string>();
  const names = element === '*' ? ['*'] : awsNames(element, path);
  for (const name of names) {
    const [, id, rootId] = ACCOUNT.exec(name) ?? [];
    const account = id ?? rootId;
    if (account !== undefined) accounts.add(account);
    else if (USER.test(name)) users.add(name);
    else if (name !== '*') throw new PolicyError(path, `${JSON.stringify(name.slice(0, 100))} ${EXPECTED}`);
  }
  const isAnyone = names.includes('*');
  if (isAnyone && isNegated) throw new PolicyError(path, 'would be nobody; name whom to leave out');
  return { isNegated, isAnyone, users, accounts };
}

const EXPECTED = 'is no principal: write *, an account id, or the ARN of an account root or of a user';

function awsNames(element: unknown, path: string): string[] {
  const members = membersOf(element, path);
  const kinds = Object.keys(members);
  if (kinds.length !== 1 || kinds[0] !== 'AWS')
    throw new PolicyError(path, 'must be * or {"AWS": …}: services and federated users do not exist here');
  return textsOf(members['AWS'], `${path}.AWS`);
}

export function reachOf(principals: Principals, { arn, accountId }: PolicyPrincipal): Reach {
  const isRoot = arn.endsWith(':root');
  if (principals.isNegated) {
    const isLeftOut = principals.users.has(arn) || (isRoot && principals.accounts.has(accountId));
    return isLeftOut ? null : 'named';
  }
  if (principals.isAnyone || principals.users.has(arn)) return 'named';
  if (!principals.accounts.has(accountId)) return null;
  return isRoot ? 'named' : 'account';
}
