// The two calls of the AWS Security Token Service that people try first: who am I, and give me temporary credentials
// (STS API 2011-06-15, Query protocol: a form in, XML out).
import { randomUUID } from 'node:crypto';
import { headersFromRaw } from '../../runtime/sigv4/signable-request.ts';
import { SigV4Error } from '../../runtime/sigv4/sigv4-error.ts';
import type { SigV4ErrorType } from '../../runtime/sigv4/sigv4-error.ts';
import { AssertionFailure } from '../../stream/errors.ts';
import type { Log } from '../../stream/ports.ts';
import { ApiProblem } from '../wire/api-problem.ts';
import { readSmallBody } from '../wire/json-body.ts';
import type { WireRequest, WireResponse } from '../wire/listener.ts';
import { originOf } from '../wire/origin.ts';
import { header, sendReply } from '../wire/reply.ts';
import type { Reply } from '../wire/reply.ts';
import type { Caller, Verify } from './caller.ts';
import { mintSession } from './mint-session.ts';
import { SESSION_MS_DEFAULT, SESSION_MS_MAX, SESSION_MS_MIN } from './sessions.ts';
import type { Sessions } from './sessions.ts';

const STS_SERVICE = 'sts';
const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/';

export interface StsParts {
  readonly sessions: Sessions;
  readonly verify: Verify;
  readonly log: Log;
}

/** A form that was signed for this service; everything else on its path is another one's. */
export function isForSts(request: WireRequest): boolean {
  return (
    request.method === 'POST' &&
    (header(request, 'content-type') ?? '').startsWith('application/x-www-form-urlencoded') &&
    (header(request, 'authorization') ?? '').includes(`/${STS_SERVICE}/aws4_request`)
  );
}

export function stsHandler(parts: StsParts): (request: WireRequest, response: WireResponse) => void {
  return (request, response) => {
    const requestId = randomUUID();
    void answer(request, requestId, parts).then((reply) => {
      if (reply !== null) sendReply(response, reply, { 'x-amzn-RequestId': requestId });
    });
  };
}

async function answer(request: WireRequest, requestId: string, parts: StsParts): Promise<Reply | null> {
  try {
    const read = await readSmallBody(request);
    if (read.kind === 'aborted') return null;
    if (read.kind === 'tooLarge') throw new StsError(413, 'RequestEntityTooLarge', 'the form is too large');
    const { method = '', url = '/' } = request;
    const signable = { method, url, headers: headersFromRaw(request.rawHeaders) };
    const origin = originOf(request, requestId);
    const caller = await parts.verify(signable, read.bytes, STS_SERVICE, origin);
    const form = new URLSearchParams(Buffer.from(read.bytes).toString('utf8'));
    return resultOf(form, caller, parts);
  } catch (error) {
    if (error instanceof AssertionFailure) throw error;
    return errorReply(stsErrorOf(error, requestId, parts.log), requestId);
  }
}

function resultOf(form: URLSearchParams, caller: Caller, parts: StsParts): Reply {
  const action = form.get('Action') ?? '';
  switch (action) {
    case 'GetCallerIdentity':
      return xmlReply(action, caller.requestId, identityOf(caller));
    case 'GetSessionToken':
      return xmlReply(action, caller.requestId, { Credentials: credentialsFor(form, caller, parts) });
    default:
      throw new StsError(400, 'InvalidAction', `Could not find operation ${action.slice(0, 100)}`);
  }
}

function identityOf({ principal }: Caller): XmlMembers {
  return { Arn: principal.arn, UserId: principal.userId, Account: principal.accountId };
}

function credentialsFor(form: URLSearchParams, caller: Caller, { sessions }: StsParts): XmlMembers {
  const text = form.get('DurationSeconds') ?? String(SESSION_MS_DEFAULT / 1000);
  const durationMs = /^\d{1,6}$/.test(text) ? Number(text) * 1000 : 0;
  if (durationMs < SESSION_MS_MIN || durationMs > SESSION_MS_MAX)
    throw new StsError(
      400,
      'ValidationError',
      `DurationSeconds must be ${SESSION_MS_MIN / 1000}..${SESSION_MS_MAX / 1000}, not ${text.slice(0, 40)}`,
    );
  const made = mintSession(sessions, caller, durationMs, null);
  return {
    AccessKeyId: made.accessKeyId,
    SecretAccessKey: made.secretAccessKey,
    SessionToken: made.sessionToken,
    Expiration: new Date(made.expiresAtMs).toISOString(),
  };
}

class StsError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.name = 'StsError';
    this.status = status;
    this.code = code;
  }
}

/** This service has names of its own (STS API, Common Errors). */
const SIGNATURE_CODES: Readonly<Record<SigV4ErrorType, string>> = {
  ExpiredTokenException: 'ExpiredToken',
  IncompleteSignatureException: 'IncompleteSignature',
  InvalidSignatureException: 'SignatureDoesNotMatch',
  MissingAuthenticationTokenException: 'MissingAuthenticationToken',
  UnrecognizedClientException: 'InvalidClientTokenId',
};

function stsErrorOf(error: unknown, requestId: string, log: Log): StsError {
  if (error instanceof StsError) return error;
  if (error instanceof SigV4Error) return new StsError(403, SIGNATURE_CODES[error.type], error.message);
  if (error instanceof ApiProblem) return new StsError(403, 'AccessDenied', error.message);
  log.error('request failed', {
    requestId,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  return new StsError(500, 'InternalFailure', 'the server could not do it; its log says why');
}

interface XmlMembers {
  readonly [name: string]: string | XmlMembers;
}

function xmlReply(action: string, requestId: string, result: XmlMembers): Reply {
  const content = { [`${action}Result`]: result, ResponseMetadata: { RequestId: requestId } };
  return { status: 200, contentType: 'text/xml', body: document(`${action}Response`, content) };
}

function errorReply({ status, code, message }: StsError, requestId: string): Reply {
  const type = status < 500 ? 'Sender' : 'Receiver';
  const content = { Error: { Type: type, Code: code, Message: message }, RequestId: requestId };
  return { status, contentType: 'text/xml', body: document('ErrorResponse', content) };
}

function document(root: string, content: XmlMembers): string {
  return `<${root} xmlns="${NAMESPACE}">${xml(content)}</${root}>\n`;
}

function xml(content: XmlMembers): string {
  return Object.entries(content)
    .map(([name, value]) => `<${name}>${typeof value === 'string' ? escaped(value) : xml(value)}</${name}>`)
    .join('');
}

function escaped(text: string): string {
  return text.replace(/[<>&"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
