// Which part of the server answers a path. Reserved paths first; everything else is the AWS API, which looks at no path.
import { timingSafeEqual, createHash } from 'node:crypto';
import { isLoopback } from '../runtime/loopback.ts';
import { METRICS_FORMATS } from '../runtime/metrics.ts';
import type { MetricsFormat, MetricsRegistry } from '../runtime/metrics.ts';
import { ENROL_PATH, SYNC_PATH } from '../sync/protocol.ts';
import { isForSts } from './access/sts.ts';
import { header, jsonReply, problemReply, sendReply } from './wire/reply.ts';
import type { Reply } from './wire/reply.ts';
import type { WireRequest, WireResponse } from './wire/listener.ts';

export type Handler = (request: WireRequest, response: WireResponse) => void;

export interface Routes {
  readonly aws: Handler;
  readonly enrol: Handler;
  readonly api: Handler;
  readonly sts: Handler;
  readonly metrics: MetricsRegistry;
  /** Absent: loopback only. */
  readonly metricsToken?: string | undefined;
  readonly isHealthy: () => boolean;
}

export function routeRequests(routes: Routes): Handler {
  return (request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (path === '/healthz') reply(request, response, health(request, routes));
    else if (path === '/metrics') reply(request, response, metrics(request, routes));
    else if (path === ENROL_PATH) routes.enrol(request, response);
    else if (path === SYNC_PATH) reply(request, response, upgradeRequired());
    else if (isUnder(path, '/api/v1')) routes.api(request, response);
    else if (isUnder(path, '/sync') || isUnder(path, '/api') || isUnder(path, '/console'))
      reply(request, response, problemReply(404, 'NOT_FOUND', `there is nothing at ${path.slice(0, 100)}`));
    else if (isForSts(request)) routes.sts(request, response);
    else routes.aws(request, response);
  };
}

/** Answers without reading: a body, if there is one, is thrown away. */
function reply(request: WireRequest, response: WireResponse, answer: Reply): void {
  request.resume();
  sendReply(response, answer);
}

function isUnder(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}/`);
}

function health(request: WireRequest, { isHealthy }: Routes): Reply {
  if (request.method !== 'GET' && request.method !== 'HEAD') return methodNotAllowed('GET, HEAD');
  return isHealthy() ? jsonReply(200, { status: 'ok' }) : jsonReply(503, { status: 'failed' });
}

function metrics(request: WireRequest, { metrics: registry, metricsToken }: Routes): Reply {
  if (request.method !== 'GET') return methodNotAllowed('GET');
  if (!isLoopback(request.socket.remoteAddress ?? '') && !hasToken(request, metricsToken))
    return problemReply(403, 'FORBIDDEN', 'other hosts need the bearer token of metrics.tokenFile');
  const asked = header(request, 'accept')?.includes('application/openmetrics-text') ?? false;
  const format: MetricsFormat = asked ? 'openmetrics' : 'prometheus';
  return { status: 200, contentType: METRICS_FORMATS[format], body: registry.render(format) };
}

function hasToken(request: WireRequest, token: string | undefined): boolean {
  if (token === undefined) return false;
  return timingSafeEqual(digest(header(request, 'authorization') ?? ''), digest(`Bearer ${token}`));
}

function digest(text: string): Uint8Array {
  return createHash('sha256').update(text).digest();
}

function methodNotAllowed(allowed: string): Reply {
  return problemReply(405, 'METHOD_NOT_ALLOWED', `only ${allowed}`, { Allow: allowed });
}

function upgradeRequired(): Reply {
  return problemReply(426, 'UPGRADE_REQUIRED', 'gateways connect here by WebSocket over HTTP/1.1', {
    Upgrade: 'websocket',
  });
}
