// The fleet API under /api/v1: gateways and enrolment codes, JSON, signed with SigV4 for the service `tributary`.
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { headersFromRaw } from '../../runtime/sigv4/signable-request.ts';
import { SigV4Error } from '../../runtime/sigv4/sigv4-error.ts';
import { AssertionFailure, isTributaryError } from '../../stream/errors.ts';
import type { Log } from '../../stream/ports.ts';
import type { Verify } from '../wire/aws-json.ts';
import { BadBody, parseJson, readSmallBody } from '../wire/json-body.ts';
import type { WireRequest, WireResponse } from '../wire/listener.ts';
import { jsonReply, problemReply, sendReply } from '../wire/reply.ts';
import type { Reply } from '../wire/reply.ts';
import type { EnrolmentCodes } from './enrolment-codes.ts';
import type { GatewayRegistry } from './gateway-registry.ts';
import type { GatewayView } from './gateway.ts';
import { DEFAULT_ALLOWED_STREAMS, PATTERNS_MAX, isStreamPattern } from './stream-pattern.ts';

const FLEET_SERVICE = 'tributary';

const MINUTE_MS = 60_000;
const TTL_DEFAULT_MS = 15 * MINUTE_MS;
const TTL_MAX_MS = 7 * 24 * 60 * MINUTE_MS;

const codeRequest = z.strictObject({
  name: z.string().min(1).max(128).nullable().default(null),
  allowedStreams: z
    .array(z.string().refine(isStreamPattern, 'must be a stream name, or the beginning of one and *'))
    .min(1)
    .max(PATTERNS_MAX)
    .default([...DEFAULT_ALLOWED_STREAMS]),
  ttlMs: z.int().min(1_000).max(TTL_MAX_MS).default(TTL_DEFAULT_MS),
});

export interface FleetParts {
  readonly registry: GatewayRegistry;
  readonly codes: EnrolmentCodes;
  readonly verify: Verify;
  readonly log: Log;
}

type Action = (parts: FleetParts, body: Uint8Array, id: string) => Promise<Reply>;

interface Route {
  readonly path: RegExp;
  readonly methods: Readonly<Record<string, Action>>;
}

const ROUTES: readonly Route[] = [
  { path: /^\/api\/v1\/gateways$/, methods: { GET: listGateways } },
  { path: /^\/api\/v1\/gateways\/([a-zA-Z0-9_-]{1,64})$/, methods: { DELETE: deleteGateway } },
  { path: /^\/api\/v1\/enrolment-codes$/, methods: { POST: createCode } },
];

export function fleetHandler(parts: FleetParts): (request: WireRequest, response: WireResponse) => void {
  return (request, response) => {
    const requestId = randomUUID();
    void answer(request, requestId, parts).then((reply) => {
      if (reply !== null) sendReply(response, reply, { 'x-amzn-RequestId': requestId });
    });
  };
}

async function answer(request: WireRequest, requestId: string, parts: FleetParts): Promise<Reply | null> {
  try {
    const read = await readSmallBody(request);
    if (read.kind === 'aborted') return null;
    if (read.kind === 'tooLarge') return problemReply(413, 'TOO_LARGE', 'the body is larger than 16 KiB');
    return await route(request, read.bytes, parts);
  } catch (error) {
    if (error instanceof AssertionFailure) throw error;
    return failure(error, requestId, parts.log);
  }
}

async function route(request: WireRequest, body: Uint8Array, parts: FleetParts): Promise<Reply> {
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  const found = ROUTES.find((candidate) => candidate.path.test(path));
  if (found === undefined) return problemReply(404, 'NOT_FOUND', `there is nothing at ${path.slice(0, 100)}`);
  const method = request.method ?? '';
  const action = Object.hasOwn(found.methods, method) ? found.methods[method] : undefined;
  if (action === undefined) {
    const allowed = Object.keys(found.methods).join(', ');
    return problemReply(405, 'METHOD_NOT_ALLOWED', `only ${allowed}`, { Allow: allowed });
  }
  const signable = { method, url: request.url ?? '/', headers: headersFromRaw(request.rawHeaders) };
  await parts.verify(signable, body, FLEET_SERVICE);
  return action(parts, body, found.path.exec(path)?.[1] ?? '');
}

function listGateways({ registry }: FleetParts): Promise<Reply> {
  return Promise.resolve(jsonReply(200, { gateways: registry.list().map(shown) }));
}

function shown(view: GatewayView): object {
  const { backlog } = view;
  return {
    id: view.id,
    name: view.name,
    state: view.isOnline ? 'online' : 'offline',
    lastSeenAt: isoOrNull(view.lastSeenAtMs),
    backlogRecords: backlog.records,
    backlogBytes: backlog.bytes,
    oldestUnsentMs: backlog.oldestUnsentMs,
    lastBatchAt: isoOrNull(view.lastBatchAtMs),
    version: view.programVersion,
    evictedRecords: backlog.evictedRecords,
    allowedStreams: view.allowedStreams,
    enrolledAt: isoOrNull(view.createdAtMs),
    events: view.events.map(({ atMs, kind, message, count }) => ({
      at: isoOrNull(atMs),
      kind,
      message,
      count,
    })),
  };
}

async function deleteGateway({ registry, codes }: FleetParts, _body: Uint8Array, id: string): Promise<Reply> {
  // Codes first: a retry of the enrolment in between would bring it back.
  await codes.forgetGateway(id);
  if (await registry.remove(id)) return jsonReply(200, { id });
  return problemReply(404, 'NOT_FOUND', `there is no gateway ${id}`);
}

async function createCode({ codes }: FleetParts, body: Uint8Array): Promise<Reply> {
  const { code, expiresAtMs } = await codes.mint(parseJson(body, codeRequest));
  return jsonReply(200, { code, expiresAt: isoOrNull(expiresAtMs) });
}

function failure(error: unknown, requestId: string, log: Log): Reply {
  if (error instanceof SigV4Error) return problemReply(403, 'SIGNATURE_INVALID', error.message);
  if (error instanceof BadBody) return problemReply(400, 'INVALID_REQUEST', error.message);
  if (isTributaryError(error, 'BUSY') || isTributaryError(error, 'STORAGE_FULL'))
    return problemReply(503, error.code, error.message);
  log.error('request failed', {
    requestId,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  return problemReply(500, 'INTERNAL', 'the server could not do it; its log says why');
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
