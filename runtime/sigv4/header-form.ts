// The header form: `Authorization: AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`.
import { claimOf } from './claim.ts';
import type { Claim } from './claim.ts';
import { ALGORITHM } from './signature.ts';
import { SigV4Error } from './sigv4-error.ts';

/** `date` is that of `X-Amz-Date`, else of `Date`. */
export function headerClaim(
  authorization: string,
  date: string | undefined,
  sessionToken: string | undefined,
): Claim {
  const parts = authorizationParts(authorization);
  let missing = '';
  for (const name of ['Credential', 'Signature', 'SignedHeaders']) {
    if (!parts.get(name)) missing += `Authorization header requires '${name}' parameter. `;
  }
  if (!date) {
    missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
  }
  if (missing !== '')
    throw new SigV4Error('IncompleteSignatureException', `${missing}Authorization=${authorization}`);
  return claimOf(parts, '', { date: date ?? '', expiresSeconds: null, sessionToken });
}

function authorizationParts(authorization: string): Map<string, string> {
  const parts = new Map<string, string>();
  const [algorithm, ...rest] = authorization.trim().split(/[\s,]+/);
  if (algorithm !== ALGORITHM) return parts;
  for (const part of rest) {
    const equals = part.indexOf('=');
    if (equals > 0) parts.set(part.slice(0, equals), part.slice(equals + 1));
  }
  return parts;
}
