// Our own APIs under /api/v1: JSON, signed with SigV4 for the service `tributary`, each route with the action that
// policies name it by. Changes and refusals are audited.
import { randomUUID } from 'node:crypto';
import { headersFromRaw } from '../../runtime/sigv4/signable-request.ts';
import { SigV4Error } from '../../runtime/sigv4/sigv4-error.ts';
import { AssertionFailure, isTributaryError } from '../../stream/errors.ts';
import type { Log } from '../../stream/ports.ts';
import type { AuditEntry } from '../access/audit-log.ts';
import type { Caller, Verify } from '../access/caller.ts';
import { PolicyError } from '../access/policy/policy-error.ts';
import { ApiProblem } from './api-problem.ts';
import { BadBody, readSmallBody } from './json-body.ts';
import type { WireRequest, WireResponse } from './listener.ts';
import { originOf } from './origin.ts';
import { problemReply, sendReply } from './reply.ts';
import type { Reply } from './reply.ts';

const API_SERVICE = 'tributary';

export interface ApiCall {
  readonly caller: Caller;
  readonly body: Uint8Array;
  /** The groups of the path, decoded. */
  readonly parameters: readonly string[];
  readonly query: URLSearchParams;
}

export interface ApiRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: RegExp;
  /** Like `tributary:ListGateways`. */
  readonly action: string;
  /** The ARN of what it is about. Absent: `*`. */
  readonly resource?: (parameters: readonly string[]) => string;
  /** Whoever has a signature may do it: it gives nobody more rights than it has. */
  readonly isFree?: boolean;
  /** Nobody needs to know later that it was asked, though its method is no GET. */
  readonly isQuestion?: boolean;
  readonly handle: (call: ApiCall) => Promise<Reply> | Reply;
}

export interface ApiOptions {
  readonly verify: Verify;
  /** Null: allowed. Otherwise why not; it has been audited. */
  readonly denialOf: (caller: Caller, action: string, resource: string) => string | null;
  readonly audit: {
    around<T>(entry: Omit<AuditEntry, 'outcome' | 'error'>, run: () => Promise<T>): Promise<T>;
  };
  readonly log: Log;
}

export function apiHandler(
  routes: readonly ApiRoute[],
  options: ApiOptions,
): (request: WireRequest, response: WireResponse) => void {
  return (request, response) => {
    const requestId = randomUUID();
    void answer(request, requestId, routes, options).then((reply) => {
      if (reply !== null) sendReply(response, reply, { 'x-amzn-RequestId': requestId });
    });
  };
}

/** Null: the client is gone. */
async function answer(
  request: WireRequest,
  requestId: string,
  routes: readonly ApiRoute[],
  options: ApiOptions,
): Promise<Reply | null> {
  try {
    const read = await readSmallBody(request);
    if (read.kind === 'aborted') return null;
    if (read.kind === 'tooLarge') return problemReply(413, 'TOO_LARGE', 'the body is larger than 16 KiB');
    return await serve(request, requestId, read.bytes, routes, options);
  } catch (error) {
    if (error instanceof AssertionFailure) throw error;
    return failure(error, requestId, options.log);
  }
}

async function serve(
  request: WireRequest,
  requestId: string,
  body: Uint8Array,
  routes: readonly ApiRoute[],
  options: ApiOptions,
): Promise<Reply> {
  const { method = '', url = '/' } = request;
  const [path = '/', query = ''] = url.split('?');
  const onPath = routes.filter((one) => one.path.test(path));
  const route = onPath.find((one) => one.method === method);
  if (route === undefined) return noRoute(path, onPath);
  const headers = headersFromRaw(request.rawHeaders);
  const origin = originOf(request, requestId);
  const caller = await options.verify({ method, url, headers }, body, API_SERVICE, origin);
  const parameters = (route.path.exec(path) ?? []).slice(1).map(decoded);
  const resource = route.resource?.(parameters) ?? '*';
  const denial = route.isFree === true ? null : options.denialOf(caller, route.action, resource);
  if (denial !== null) return problemReply(403, 'ACCESS_DENIED', denial);
  const call: ApiCall = { caller, body, parameters, query: new URLSearchParams(query) };
  const run = async (): Promise<Reply> => route.handle(call);
  if (method === 'GET' || route.isQuestion === true) return run();
  return options.audit.around(auditedCall(caller, route.action, resource), run);
}

/** What an audit entry says of a call before anybody knows how it ends. */
export function auditedCall(
  { requestId, sourceAddress, accessKeyId, principal }: Caller,
  action: string,
  resource: string,
): Omit<AuditEntry, 'outcome' | 'error'> {
  return { requestId, sourceAddress, user: principal.arn, accessKeyId, action, resource };
}

function noRoute(path: string, onPath: readonly ApiRoute[]): Reply {
  if (onPath.length === 0) return problemReply(404, 'NOT_FOUND', `there is nothing at ${path.slice(0, 100)}`);
  const allowed = onPath.map(({ method }) => method).join(', ');
  return problemReply(405, 'METHOD_NOT_ALLOWED', `only ${allowed}`, { Allow: allowed });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new BadBody(`the path holds ${text.slice(0, 100)}, which is not percent-encoded UTF-8`);
  }
}

function failure(error: unknown, requestId: string, log: Log): Reply {
  if (error instanceof SigV4Error) return problemReply(403, 'SIGNATURE_INVALID', error.message);
  if (error instanceof BadBody) return problemReply(400, 'INVALID_REQUEST', error.message);
  if (error instanceof PolicyError) return problemReply(400, 'POLICY_MALFORMED', error.message);
  if (error instanceof ApiProblem) return problemReply(error.status, error.code, error.message);
  if (isTributaryError(error, 'BUSY') || isTributaryError(error, 'STORAGE_FULL'))
    return problemReply(503, error.code, error.message);
  log.error('request failed', {
    requestId,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  return problemReply(500, 'INTERNAL', 'the server could not do it; its log says why');
}
