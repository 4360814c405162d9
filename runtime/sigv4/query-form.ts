// The query form, also called presigned: `X-Amz-Algorithm=…&X-Amz-Credential=…` in the request's query.
import { queryPairs } from './canonical-request.ts';
import { claimOf } from './claim.ts';
import type { Claim } from './claim.ts';
import { ALGORITHM } from './signature.ts';
import { SigV4Error } from './sigv4-error.ts';

const EXPIRES_SECONDS_MAX = 604_800;

const OWN_PREFIX = 'X-Amz-';
const NOTHING: ReadonlyMap<string, string> = new Map();

/** A parameter of the signature that comes twice could mean one thing here and another to who signed it. */
export function queryMap(query: string): ReadonlyMap<string, string> {
  if (query === '') return NOTHING;
  const pairs = new Map<string, string>();
  for (const [name, value] of queryPairs(query)) {
    if (name.startsWith(OWN_PREFIX) && pairs.has(name)) {
      throw new SigV4Error(
        'IncompleteSignatureException',
        `AWS query-string parameters must include '${name}' only once. Re-examine the query-string parameters.`,
      );
    }
    pairs.set(name, value);
  }
  return pairs;
}

export function queryClaim(query: ReadonlyMap<string, string>): Claim {
  let missing = '';
  for (const name of ['Algorithm', 'Credential', 'Signature', 'SignedHeaders', 'Date', 'Expires']) {
    const value = query.get(`X-Amz-${name}`);
    const absent = !value || (name === 'Algorithm' && value !== ALGORITHM);
    if (absent) missing += `AWS query-string parameters must include 'X-Amz-${name}'. `;
  }
  if (missing !== '') {
    throw new SigV4Error('IncompleteSignatureException', `${missing}Re-examine the query-string parameters.`);
  }
  const text = query.get('X-Amz-Expires') ?? '';
  const expires = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (expires < 1 || expires > EXPIRES_SECONDS_MAX) {
    throw new SigV4Error(
      'IncompleteSignatureException',
      `X-Amz-Expires must be between 1 and ${EXPIRES_SECONDS_MAX} seconds. Re-examine the query-string parameters.`,
    );
  }
  return claimOf(query, 'X-Amz-', {
    date: query.get('X-Amz-Date') ?? '',
    expiresSeconds: expires,
    sessionToken: query.get('X-Amz-Security-Token'),
  });
}
