// What a request says about its own signature, whichever form it has.
import { isoBasic, parseIsoBasic } from './basic-date.ts';
import { SigV4Error } from './sigv4-error.ts';
import type { Scope } from './signature.ts';

/** What the request says about its own signature. */
export interface Claim {
  readonly accessKeyId: string;
  readonly scope: Scope;
  readonly terminator: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** `20260101T000000Z` */
  readonly date: string;
  readonly expiresSeconds: number | null;
  /** Of temporary credentials. */
  readonly sessionToken: string | undefined;
}

export function claimOf(
  parts: ReadonlyMap<string, string>,
  prefix: string,
  { date, expiresSeconds, sessionToken }: Pick<Claim, 'date' | 'expiresSeconds' | 'sessionToken'>,
): Claim {
  const credential = parts.get(`${prefix}Credential`) ?? '';
  const [accessKeyId, day, region, service, terminator, extra] = credential.split('/');
  if (!accessKeyId || !day || !region || !service || !terminator || extra !== undefined) {
    throw new SigV4Error(
      'IncompleteSignatureException',
      `Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '${credential}'`,
    );
  }
  return {
    accessKeyId,
    scope: { day, region, service },
    terminator,
    signedHeaders: (parts.get(`${prefix}SignedHeaders`) ?? '').split(';'),
    signature: parts.get(`${prefix}Signature`) ?? '',
    date: normalDate(date),
    expiresSeconds,
    sessionToken,
  };
}

const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59);

/** A `Date` header is RFC 1123, the string to sign wants ISO 8601 basic. */
function normalDate(text: string): string {
  if (text === lastDate.text) return lastDate.normal;
  const normal = normalize(text);
  lastDate = { text, normal };
  return normal;
}

/** Requests come many to a second. */
let lastDate = { text: '', normal: '' };

function normalize(text: string): string {
  const ms = /^\d{8}T\d{6}Z$/.test(text) ? parseIsoBasic(text) : Date.parse(text);
  // A year of five digits has no basic form: it could not be compared with the clock, and the request would never expire.
  if (Number.isNaN(ms) || ms < 0 || ms > LAST_MS) {
    throw new SigV4Error(
      'IncompleteSignatureException',
      `Date must be in ISO-8601 'basic format'. Got '${text}'. See http://en.wikipedia.org/wiki/ISO_8601`,
    );
  }
  return isoBasic(ms);
}
