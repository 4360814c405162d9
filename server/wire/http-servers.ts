// HTTP/1.1 and HTTP/2 over sockets that somebody else accepted: which of the two is told by whoever knows.
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { Http2Server, Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { WireLimits } from './limits.ts';

export type WireRequest = IncomingMessage | Http2ServerRequest;
export type WireResponse = ServerResponse | Http2ServerResponse;

export interface HttpHandlers {
  /** Answers every request itself, failures too. */
  readonly onRequest: (request: WireRequest, response: WireResponse) => void;
  /** Absent: an Upgrade header is ignored and the request served as it is. */
  readonly onUpgrade?: ((request: IncomingMessage, socket: Duplex, head: Buffer) => void) | undefined;
}

const IDLE_SWEEP_MS = 25;

export class HttpServers {
  readonly #http: HttpServer;
  readonly #http2: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(handlers: HttpHandlers, limits: WireLimits) {
    this.#http = createHttp1(handlers, limits);
    this.#http2 = createHttp2(handlers, limits);
    this.#http2.on('session', (session) => {
      this.#sessions.add(session);
      session.once('close', () => this.#sessions.delete(session));
      // GOAWAY, once nothing moved for so long; PING of the client counts as moving.
      session.setTimeout(limits.keepAliveMs, () => session.close());
    });
  }

  serve(socket: Socket, protocol: 'http/1.1' | 'h2'): void {
    // Node's HTTP/2 turns away a socket whose TLS handshake did not name it.
    if (socket instanceof TLSSocket) socket.alpnProtocol = protocol;
    (protocol === 'h2' ? this.#http2 : this.#http).emit('connection', socket);
  }

  /** GOAWAY to every session; idle sockets are closed at once, busy ones when they fall idle, until told to stop. */
  drain(): () => void {
    const sweep = setInterval(() => this.#http.closeIdleConnections(), IDLE_SWEEP_MS);
    // It never listened, so its callback gets an error that means nothing; it stops the timeout checker.
    this.#http.close(() => undefined);
    for (const session of this.#sessions) session.close();
    return () => clearInterval(sweep);
  }

  /** Cuts what is left of the sessions. */
  destroy(): void {
    for (const session of this.#sessions) session.destroy();
  }
}

function createHttp1({ onRequest, onUpgrade }: HttpHandlers, limits: WireLimits): HttpServer {
  const server = createHttpServer(
    {
      keepAliveTimeout: limits.keepAliveMs,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: limits.deadlineSweepMs,
    },
    onRequest,
  );
  if (onUpgrade !== undefined) server.on('upgrade', onUpgrade);
  // A server that never listens enforces no header and request timeouts; this event turns its checker on.
  server.emit('listening');
  return server;
}

function createHttp2({ onRequest }: HttpHandlers, limits: WireLimits): Http2Server {
  const server = createHttp2Server(
    {
      maxSessionInvalidFrames: limits.http2InvalidFrames,
      settings: { maxConcurrentStreams: limits.http2Streams, initialWindowSize: limits.http2WindowBytes },
    },
    onRequest,
  );
  // A broken session destroys itself; without a listener its error would end the process.
  server.on('sessionError', () => undefined);
  return server;
}
