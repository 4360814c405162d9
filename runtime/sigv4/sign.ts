// Signs one HTTP request in the header form.
import { isoBasic } from './basic-date.ts';
import { canonicalRequest, compare } from './canonical-request.ts';
import type { SignableRequest } from './signable-request.ts';
import { ALGORITHM, scopeText, sha256, signatureOf, stringToSign } from './signature.ts';
import type { Scope } from './signature.ts';

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
