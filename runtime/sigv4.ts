// AWS Signature Version 4: signing and verifying one HTTP request, header form and presigned query form.
// Specification: AWS General Reference, Signature Version 4. The texts are those that AWS answers with.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

const ALGORITHM = 'AWS4-HMAC-SHA256';
const TERMINATOR = 'aws4_request';
const SKEW_MS = 15 * 60_000;
const EXPIRES_SECONDS_MAX = 604_800;
const SIGNING_KEYS_MAX = 512;

/** Headers an intermediary may change, so a signer leaves them out. */
const UNSIGNED_HEADERS = new Set([
  'authorization',
  'connection',
  'content-length',
  'expect',
  'transfer-encoding',
  'user-agent',
  'x-amzn-trace-id',
]);

export type HeaderValues = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A request as it travels. `url` is the request target (path and query) or, when signing, an absolute URL. */
export interface SignableRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: HeaderValues;
}

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface SignOptions {
  readonly region: string;
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface VerifyOptions {
  readonly service: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly findSecret: (accessKeyId: string) => string | undefined;
}

export type SigV4ErrorType =
  | 'MissingAuthenticationTokenException'
  | 'InvalidSignatureException'
  | 'IncompleteSignatureException'
  | 'UnrecognizedClientException';

export class SigV4Error extends Error {
  readonly type: SigV4ErrorType;

  constructor(type: SigV4ErrorType, message: string) {
    super(message);
    this.name = 'SigV4Error';
    this.type = type;
  }
}

/** Keeps repeated headers apart: `headers` of node:http joins them with `, ` where the signature wants `,`. */
export function headersFromRaw(rawHeaders: readonly string[]): Record<string, string[]> {
  const headers: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase();
    const values = headers[name];
    if (values === undefined) headers[name] = [rawHeaders[at + 1] ?? ''];
    else values.push(rawHeaders[at + 1] ?? '');
  }
  return headers;
}

export function canonicalRequest(
  request: SignableRequest,
  signedHeaders: readonly string[],
  bodyHash: string,
): string {
  const { path, query } = splitTarget(request.url);
  const lookup = headerLookup(request.headers);
  const lines = signedHeaders.map((name) => `${name}:${canonicalValue(lookup(name))}\n`).join('');
  return [
    request.method,
    canonicalPath(path),
    canonicalQuery(query),
    lines,
    signedHeaders.join(';'),
    bodyHash,
  ].join('\n');
}

/** Headers to send: those given, lower-cased, with host, x-amz-date, the session token and the authorization. */
export function signRequest(
  request: SignableRequest & { readonly body?: Uint8Array | string },
  credentials: Credentials,
  options: SignOptions,
): Record<string, string> {
  const date = isoBasic(options.now);
  const headers = headersToSend(request, credentials, date);
  const signedHeaders = Object.keys(headers)
    .filter((name) => !UNSIGNED_HEADERS.has(name))
    .toSorted(compare);
  const canonical = canonicalRequest({ ...request, headers }, signedHeaders, sha256(request.body ?? ''));
  const scope: Scope = { day: date.slice(0, 8), region: options.region, service: options.service };
  const signature = signatureOf(
    credentials.accessKeyId,
    credentials.secretAccessKey,
    scope,
    stringToSign(date, scope, canonical),
  );
  const credential = `${credentials.accessKeyId}/${scopeText(scope)}`;
  headers['authorization'] =
    `${ALGORITHM} Credential=${credential}, SignedHeaders=${signedHeaders.join(';')}, Signature=${signature.toString('hex')}`;
  return headers;
}

/** Throws SigV4Error. */
export function verifyRequest(
  request: SignableRequest,
  body: Uint8Array,
  options: VerifyOptions,
): { accessKeyId: string } {
  const claim = readClaim(request);
  const secret = options.findSecret(claim.accessKeyId);
  if (secret === undefined) {
    throw new SigV4Error(
      'UnrecognizedClientException',
      'The security token included in the request is invalid.',
    );
  }
  checkScope(claim, options.service);
  checkClock(claim, options.now());
  checkSignedHost(claim.signedHeaders);
  const bodyHash = sha256(body);
  checkContentHash(request.headers, bodyHash);
  checkSignature(request, claim, secret, bodyHash);
  return { accessKeyId: claim.accessKeyId };
}

interface Scope {
  readonly day: string;
  readonly region: string;
  readonly service: string;
}

/** What the request says about its own signature. */
interface Claim {
  readonly accessKeyId: string;
  readonly scope: Scope;
  readonly terminator: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  /** `20260101T000000Z` */
  readonly date: string;
  readonly expiresSeconds: number | null;
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
  return headerClaim(authorization, lookup('x-amz-date')[0] ?? lookup('date')[0]);
}

function headerClaim(authorization: string, date: string | undefined): Claim {
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
  return claimOf(parts, '', date ?? '', null);
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

function queryClaim(query: ReadonlyMap<string, string>): Claim {
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
  return claimOf(query, 'X-Amz-', query.get('X-Amz-Date') ?? '', expires);
}

function claimOf(
  parts: ReadonlyMap<string, string>,
  prefix: string,
  date: string,
  expiresSeconds: number | null,
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
  };
}

/** A `Date` header is RFC 1123, the string to sign wants ISO 8601 basic. */
function normalDate(text: string): string {
  const ms = /^\d{8}T\d{6}Z$/.test(text) ? parseIsoBasic(text) : Date.parse(text);
  if (Number.isNaN(ms)) {
    throw new SigV4Error(
      'IncompleteSignatureException',
      `Date must be in ISO-8601 'basic format'. Got '${text}'. See http://en.wikipedia.org/wiki/ISO_8601`,
    );
  }
  return isoBasic(ms);
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

function checkSignedHost(signedHeaders: readonly string[]): void {
  if (signedHeaders.includes('host') || signedHeaders.includes(':authority')) return;
  throw new SigV4Error(
    'InvalidSignatureException',
    "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
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

function headersToSend(
  request: SignableRequest,
  credentials: Credentials,
  date: string,
): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined) continue;
    headers[name.toLowerCase()] = typeof value === 'string' ? value : value.join(',');
  }
  if (headers['host'] === undefined && headers[':authority'] === undefined) {
    headers['host'] = new URL(request.url).host;
  }
  headers['x-amz-date'] = date;
  if (credentials.sessionToken !== undefined) headers['x-amz-security-token'] = credentials.sessionToken;
  return headers;
}

/** Over HTTP/2 one of `host` and `:authority` is missing and a client may have signed either. */
function headerLookup(headers: HeaderValues): (name: string) => readonly string[] {
  const values = (name: string): readonly string[] => {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    if (value === undefined) return [];
    return typeof value === 'string' ? [value] : value;
  };
  return (name) => {
    const own = values(name);
    if (own.length > 0) return own;
    if (name === 'host') return values(':authority');
    return name === ':authority' ? values('host') : own;
  };
}

function canonicalValue(values: readonly string[]): string {
  return values.map((value) => value.trim().replace(/\s+/g, ' ')).join(',');
}

function splitTarget(url: string): { path: string; query: string } {
  const target = url.startsWith('/') ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '');
  const mark = target.indexOf('?');
  return mark < 0
    ? { path: target, query: '' }
    : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

/** Dot segments and empty segments removed, then each segment encoded once more, as botocore does. */
function canonicalPath(path: string): string {
  if (path === '' || path === '/') return '/';
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') kept.pop();
    else kept.push(encodeRfc3986(segment));
  }
  const joined = `/${kept.join('/')}`;
  return path.endsWith('/') && joined !== '/' ? `${joined}/` : joined;
}

function canonicalQuery(query: string): string {
  if (query === '') return '';
  return queryPairs(query)
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]): [string, string] => [encodeRfc3986(name), encodeRfc3986(value)])
    .toSorted((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

function queryPairs(query: string): [string, string][] {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 0) return [decode(pair), ''];
      return [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
    });
}

function queryMap(query: string): ReadonlyMap<string, string> {
  return query === '' ? new Map() : new Map(queryPairs(query));
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not valid percent-encoding: taken literally, the signature will not match.
    return text;
  }
}

function encodeRfc3986(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString()).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function scopeText(scope: Scope): string {
  return `${scope.day}/${scope.region}/${scope.service}/${TERMINATOR}`;
}

function stringToSign(date: string, scope: Scope, canonical: string): string {
  return `${ALGORITHM}\n${date}\n${scopeText(scope)}\n${sha256(canonical)}`;
}

function signatureOf(accessKeyId: string, secret: string, scope: Scope, text: string): Buffer {
  return hmac(signingKey(accessKeyId, secret, scope), text);
}

/** Derivation costs four HMACs, five times the check itself. The secret is kept to notice its rotation. */
const signingKeys = new Map<string, { readonly secret: string; readonly key: Buffer }>();

function signingKey(accessKeyId: string, secret: string, scope: Scope): Buffer {
  const name = `${accessKeyId}/${scope.day}/${scope.region}/${scope.service}`;
  const cached = signingKeys.get(name);
  if (cached !== undefined && cached.secret === secret) return cached.key;
  const key = [scope.region, scope.service, TERMINATOR].reduce(hmac, hmac(`AWS4${secret}`, scope.day));
  signingKeys.delete(name);
  if (signingKeys.size >= SIGNING_KEYS_MAX) {
    for (const oldest of signingKeys.keys()) {
      signingKeys.delete(oldest);
      break;
    }
  }
  signingKeys.set(name, { secret, key });
  return key;
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

function isoBasic(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

function parseIsoBasic(text: string): number {
  return Date.parse(
    `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6, 11)}:${text.slice(11, 13)}:${text.slice(13, 15)}Z`,
  );
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
