// The fleet under /api/v1: gateways and enrolment codes.
import { z } from 'zod';
import { ApiProblem } from '../wire/api-problem.ts';
import { parseJson } from '../wire/json-body.ts';
import type { ApiRoute } from '../wire/json-api.ts';
import { jsonReply } from '../wire/reply.ts';
import type { Reply } from '../wire/reply.ts';
import type { EnrolmentCodes } from './enrolment-codes.ts';
import type { GatewayRegistry } from './gateway-registry.ts';
import type { GatewayView } from './gateway.ts';
import { DEFAULT_ALLOWED_STREAMS, PATTERNS_MAX, isStreamPattern } from './stream-pattern.ts';

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
  /** The beginning of the ARNs of this server, `arn:aws:tributary:REGION:ACCOUNT`. */
  readonly arnPrefix: string;
}

export function fleetRoutes(parts: FleetParts): ApiRoute[] {
  const gateway = ([id = '']: readonly string[]): string => `${parts.arnPrefix}:gateway/${id}`;
  return [
    {
      method: 'GET',
      path: /^\/api\/v1\/gateways$/,
      action: 'tributary:ListGateways',
      handle: () => jsonReply(200, { gateways: parts.registry.list().map(shown) }),
    },
    {
      method: 'DELETE',
      path: /^\/api\/v1\/gateways\/([a-zA-Z0-9_-]{1,64})$/,
      action: 'tributary:DeleteGateway',
      resource: gateway,
      handle: ({ parameters: [id = ''] }) => deleteGateway(parts, id),
    },
    {
      method: 'POST',
      path: /^\/api\/v1\/enrolment-codes$/,
      action: 'tributary:CreateEnrolmentCode',
      handle: ({ body }) => createCode(parts, body),
    },
  ];
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

async function deleteGateway({ registry, codes }: FleetParts, id: string): Promise<Reply> {
  // Codes first: a retry of the enrolment in between would bring it back.
  await codes.forgetGateway(id);
  if (await registry.remove(id)) return jsonReply(200, { id });
  throw new ApiProblem(404, 'NOT_FOUND', `there is no gateway ${id}`);
}

async function createCode({ codes }: FleetParts, body: Uint8Array): Promise<Reply> {
  const { code, expiresAtMs } = await codes.mint(parseJson(body, codeRequest));
  return jsonReply(200, { code, expiresAt: isoOrNull(expiresAtMs) });
}

function isoOrNull(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
