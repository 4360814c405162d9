// Verifies one HTTP request, header form and presigned query form, in the order and with the texts of AWS.
import { timingSafeEqual } from 'node:crypto';
import { isoBasic, parseIsoBasic } from './basic-date.ts';
import { canonicalRequest } from './canonical-request.ts';
import type { Claim } from './claim.ts';
import { headerClaim } from './header-form.ts';
import { queryClaim, queryMap } from './query-form.ts';
import { headerLookup, splitTarget } from './signable-request.ts';
import type { HeaderValues, SignableRequest } from './signable-request.ts';
import { sha256, signatureOf, stringToSign, TERMINATOR } from './signature.ts';
import { SigV4Error } from './sigv4-error.ts';

const SKEW_MS = 15 * 60_000;

export interface VerifyOptions {
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Undefined: not known. May throw SigV4Error. The session token is that of temporary credentials. */
  readonly findSecret: (accessKeyId: string, sessionToken: string | undefined) => string | undefined;
}

/** The credentials that a request was signed with. */
export interface Signer {
  readonly accessKeyId: string;
  readonly sessionToken: string | undefined;
}

/** Throws SigV4Error. */
export function verifyRequest(request: SignableRequest, body: Uint8Array, options: VerifyOptions): Signer {
  const claim = readClaim(request);
  const secret = options.findSecret(claim.accessKeyId, claim.sessionToken);
  if (secret === undefined) {
    throw new SigV4Error(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    );
  }
  checkScope(claim, options.service);
  checkClock(claim, options.now());
  checkSignedHeaders(request.headers, claim.signedHeaders);
  const bodyHash = sha256(body);
  checkContentHash(request.headers, bodyHash);
  checkSignature(request, claim, secret, bodyHash);
  return { accessKeyId: claim.accessKeyId, sessionToken: claim.sessionToken };
}

function readClaim(request: SignableRequest): Claim {
  const lookup = headerLookup(request.headers);
  const authorization = lookup('authorization')[0];
  const query = queryMap(splitTarget(request.url).query);
  const presigned = query.has('X-Amz-Algorithm');
  if (presigned && authorization !== undefined) {
    throw new SigV4Error(
      'InvalidSignatureException',
      "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
    );
  }
  if (presigned) return queryClaim(query);
  if (authorization === undefined || authorization === '') {
    throw new SigV4Error('MissingAuthenticationTokenException', 'Missing Authentication Token');
  }
  return headerClaim(
    authorization,
    lookup('x-amz-date')[0] ?? lookup('date')[0],
    lookup('x-amz-security-token')[0],
  );
}

/** Any region is accepted: clients invent one for a server that is not AWS. */
function checkScope(claim: Claim, service: string): void {
  if (claim.scope.service !== service) {
    throw new SigV4Error(
      'InvalidSignatureException',
      `Credential should be scoped to correct service: '${service}'. `,
    );
  }
  if (claim.terminator !== TERMINATOR) {
    throw new SigV4Error(
      'InvalidSignatureException',
      `Credential should be scoped with a valid terminator: '${TERMINATOR}', not '${claim.terminator}'. `,
    );
  }
  const day = claim.date.slice(0, 8);
  if (claim.scope.day !== day) {
    throw new SigV4Error(
      'InvalidSignatureException',
      `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${claim.scope.day}' != '${day}', from '${claim.date}'.`,
    );
  }
}

function checkClock(claim: Claim, now: number): void {
  const signed = parseIsoBasic(claim.date);
  const lifeMs = claim.expiresSeconds === null ? SKEW_MS : claim.expiresSeconds * 1000;
  const life = claim.expiresSeconds === null ? '15 min.' : `${claim.expiresSeconds} sec.`;
  // The texts have whole seconds, so the comparison drops the fraction too.
  const second = Math.floor(now / 1000) * 1000;
  if (signed < second - lifeMs) {
    throw new SigV4Error(
      'InvalidSignatureException',
      `Signature expired: ${claim.date} is now earlier than ${isoBasic(second - lifeMs)} (${isoBasic(second)} - ${life})`,
    );
  }
  if (signed > second + SKEW_MS) {
    throw new SigV4Error(
      'InvalidSignatureException',
      `Signature not yet current: ${claim.date} is still later than ${isoBasic(second + SKEW_MS)} (${isoBasic(second)} + 15 min.)`,
    );
  }
}

/** Who could change the operation of a request that was signed for another one would have every right of its signer. */
function checkSignedHeaders(headers: HeaderValues, signed: readonly string[]): void {
  if (!signed.includes('host') && !signed.includes(':authority')) throw unsigned("'Host' or ':authority'");
  if (headers['x-amz-target'] !== undefined && !signed.includes('x-amz-target'))
    throw unsigned("'X-Amz-Target'");
}

function unsigned(name: string): SigV4Error {
  return new SigV4Error(
    'InvalidSignatureException',
    `${name} must be a 'SignedHeader' in the AWS Authorization.`,
  );
}

/** Also refuses UNSIGNED-PAYLOAD, which is no hash of any body. */
function checkContentHash(headers: HeaderValues, bodyHash: string): void {
  for (const value of headerLookup(headers)('x-amz-content-sha256')) {
    if (value.trim().toLowerCase() === bodyHash) continue;
    throw new SigV4Error(
      'InvalidSignatureException',
      "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
  }
}

function checkSignature(request: SignableRequest, claim: Claim, secret: string, bodyHash: string): void {
  const canonical = canonicalRequest(request, claim.signedHeaders, bodyHash);
  const toSign = stringToSign(claim.date, claim.scope, canonical);
  const expected = signatureOf(claim.accessKeyId, secret, claim.scope, toSign);
  const given = /^[0-9a-f]{64}$/i.test(claim.signature)
    ? Buffer.from(claim.signature, 'hex')
    : Buffer.alloc(0);
  if (given.length === expected.length && timingSafeEqual(given, expected)) return;
  throw new SigV4Error(
    'InvalidSignatureException',
    'The request signature we calculated does not match the signature you provided. ' +
      'Check your AWS Secret Access Key and signing method. Consult the service documentation for details.' +
      `\n\nThe Canonical String for this request should have been\n'${canonical}'` +
      `\n\nThe String-to-Sign should have been\n'${toSign}'\n`,
  );
}
