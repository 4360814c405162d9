// Sends one complete answer over either protocol.
import type { WireRequest, WireResponse } from './listener.ts';

export interface Reply {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** To make one string of a longer text and the head would cost more than the second write. */
const SHORT_TEXT_CHARS = 16 * 1024;

/** node:http and node:http2 add a correct Date themselves; SDKs mend their clock skew by it. */
export function sendReply(
  response: WireResponse,
  reply: Reply,
  common: Readonly<Record<string, string>> = {},
): void {
  if (isGone(response)) return;
  const headers: Record<string, string> = {
    ...common,
    ...reply.headers,
    'Content-Length': String(Buffer.byteLength(reply.body)),
  };
  if (reply.contentType !== undefined) headers['Content-Type'] = reply.contentType;
  writeHead(response, reply.status, headers);
  // Node sends a text together with the head in one piece.
  const isShort = typeof reply.body === 'string' && reply.body.length <= SHORT_TEXT_CHARS;
  response.end(isShort ? reply.body : Buffer.from(reply.body));
}

export function jsonReply(
  status: number,
  document: object,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return {
    status,
    contentType: 'application/json',
    body: `${JSON.stringify(document)}\n`,
    headers: { 'Cache-Control': 'no-store', ...headers },
  };
}

/** The body of every error outside the AWS API. */
export function problemReply(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return jsonReply(status, { error: { code, message } }, headers);
}

/** The first value of a header. */
export function header(request: WireRequest, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** The client cancelled: headers of a closed HTTP/2 stream throw. */
export function isGone(response: WireResponse): boolean {
  if (!('createPushResponse' in response)) return response.destroyed;
  // Node clears `stream` when the stream has ended, whatever the types say.
  const stream = response.stream as typeof response.stream | undefined;
  return stream === undefined || stream.destroyed || stream.closed;
}

export function writeHead(
  response: WireResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
): void {
  // Apart: the two classes' `writeHead` have no common signature.
  if ('createPushResponse' in response) response.writeHead(status, headers);
  else response.writeHead(status, headers);
}
