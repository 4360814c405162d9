// What conditions and variables of policies may ask of a request (IAM User Guide, AWS global condition context keys).
import type { Caller } from './caller.ts';
import type { ContextLookup } from './policy/template.ts';

export type Tags = Readonly<Record<string, string>>;

/** What the request wants to do to tags. */
export interface RequestedTags {
  readonly tags: Tags;
  /** Of tags that are set or taken away. */
  readonly keys: readonly string[];
}

export interface ContextFacts {
  readonly caller: Caller;
  readonly nowMs: number;
  readonly region: string;
  /** Of the resource; asked only when a policy does. */
  readonly tagsOfResource: () => Tags | undefined;
  readonly requested: RequestedTags | undefined;
}

type Read = (facts: ContextFacts) => string | number | boolean | undefined;

const KEYS: ReadonlyMap<string, Read> = new Map<string, Read>([
  ['aws:sourceip', ({ caller }) => caller.sourceAddress],
  ['aws:securetransport', ({ caller }) => caller.isSecure],
  ['aws:currenttime', ({ nowMs }) => new Date(nowMs).toISOString()],
  ['aws:epochtime', ({ nowMs }) => Math.floor(nowMs / 1000)],
  ['aws:principalarn', ({ caller }) => caller.principal.arn],
  ['aws:principalaccount', ({ caller }) => caller.principal.accountId],
  ['aws:principaltype', ({ caller }) => (caller.principal.isRoot ? 'Account' : 'User')],
  ['aws:resourceaccount', ({ caller }) => caller.principal.accountId],
  ['aws:requestedregion', ({ region }) => region],
  ['aws:userid', ({ caller }) => caller.principal.userId],
  ['aws:username', ({ caller }) => caller.principal.userName],
  [
    'aws:tokenissuetime',
    ({ caller: { principal } }) =>
      principal.session === null ? undefined : new Date(principal.session.issuedAtMs).toISOString(),
  ],
]);

const RESOURCE_TAG = 'aws:resourcetag/';
const REQUEST_TAG = 'aws:requesttag/';
const TAG_KEYS = 'aws:tagkeys';

export function contextOf(facts: ContextFacts): ContextLookup {
  return (key) => {
    if (key === TAG_KEYS) return facts.requested?.keys;
    if (key.startsWith(RESOURCE_TAG)) return tag(facts.tagsOfResource(), key.slice(RESOURCE_TAG.length));
    if (key.startsWith(REQUEST_TAG)) return tag(facts.requested?.tags, key.slice(REQUEST_TAG.length));
    const value = KEYS.get(key)?.(facts);
    return value === undefined || value === '' ? undefined : [String(value)];
  };
}

/** Names of condition keys have no case, hence those of tags in them neither. */
function tag(tags: Tags | undefined, lowerName: string): string[] | undefined {
  const values = Object.entries(tags ?? {})
    .filter(([name]) => name.toLowerCase() === lowerName)
    .map(([, value]) => value);
  return values.length === 0 ? undefined : values;
}
