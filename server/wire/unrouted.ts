// What is answered before a request is known to mean an operation: no method, no content type, too large, preflight.
import { JSON_CODEC } from './json-codec.ts';
import type { WireRequest } from './listener.ts';
import { header } from './reply.ts';
import type { Reply } from './reply.ts';

export const PLAIN_JSON = 'application/json';
const PREFLIGHT_SECONDS = '172800';
const ACCESS_DENIED_XML =
  '<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized</Message>\n</AccessDeniedException>\n';

export function wrongMethod(): Reply {
  return { status: 403, body: ACCESS_DENIED_XML };
}

export function tooLarge(request: WireRequest): Reply {
  return { status: 413, body: '', headers: closing(request) };
}

/** SDKs back off and try again. */
export function busy(request: WireRequest): Reply {
  return {
    status: 503,
    contentType: JSON_CODEC.mediaType,
    body: JSON.stringify({
      __type: 'ServiceUnavailable',
      message: 'Too much data is on its way; try again.',
    }),
    headers: closing(request),
  };
}

/** The rest of the body may still be coming. HTTP/2 has no such header. */
function closing(request: WireRequest): Record<string, string> {
  return request.httpVersionMajor === 1 ? { Connection: 'close' } : {};
}

export function unknownContentType(request: WireRequest): Reply {
  if (header(request, 'x-amz-target') === undefined) return { status: 403, body: ACCESS_DENIED_XML };
  return { status: 404, body: '<UnknownOperationException/>\n' };
}

/** No operation takes the bare `application/json`, known or not. */
export function plainJson(isObject: boolean): Reply {
  const type = isObject ? 'UnknownOperationException' : 'SerializationException';
  return {
    status: isObject ? 404 : 400,
    contentType: PLAIN_JSON,
    body: JSON.stringify({ Output: { __type: `com.amazon.coral.service#${type}` }, Version: '1.0' }),
  };
}

export function preflight(request: WireRequest): Reply {
  const headers: Record<string, string> = { 'Access-Control-Max-Age': PREFLIGHT_SECONDS };
  const method = header(request, 'access-control-request-method');
  const names = header(request, 'access-control-request-headers');
  if (method !== undefined) headers['Access-Control-Allow-Methods'] = method;
  if (names !== undefined) headers['Access-Control-Allow-Headers'] = names;
  return { status: 200, body: '', headers };
}
