// One plaintext port for HTTP/1.1 and HTTP/2 with prior knowledge, told apart by their first three bytes
// and its closing within a bound.
import { createServer as createHttpServer } from 'node:http';
import type { IncomingMessage, Server as HttpServer, ServerResponse } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { Http2Server, Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2';
import { createServer as createNetServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { bindProblem } from './bind-problem.ts';

export type WireRequest = IncomingMessage | Http2ServerRequest;
export type WireResponse = ServerResponse | Http2ServerResponse;

export interface ListenerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Answers every request itself, failures too. */
  readonly onRequest: (request: WireRequest, response: WireResponse) => void;
  /** Absent: an Upgrade header is ignored and the request served as it is. */
  readonly onUpgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** For tests. */
  readonly sniffDeadlineMs?: number;
  /** How long requests under way may take after close. */
  readonly drainMs?: number;
}

export interface Listener {
  readonly url: string;
  readonly port: number;
  /** Stops accepting, lets requests finish for a while, then cuts what is left. Idempotent. */
  close(): Promise<void>;
}

const SNIFFED_BYTES = 3;
const SNIFF_DEADLINE_MS = 10_000;
const DRAIN_MS = 3_000;
const IDLE_SWEEP_MS = 25;
/** SDK pools reuse sockets for a minute and race with a shorter timeout. */
const KEEP_ALIVE_MS = 75_000;
const HTTP2_STREAMS_MAX = 256;
const HTTP2_INVALID_FRAMES_MAX = 100;
const HTTP2_WINDOW_BYTES = 1024 * 1024;

/** Throws CONFIG_INVALID when it cannot listen there. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const servers = {
    http: createHttp1(options),
    http2: createHttp2(options),
    sockets: new Set<Socket>(),
    sessions: new Set<ServerHttp2Session>(),
  };
  servers.http2.on('session', (session) => {
    servers.sessions.add(session);
    session.once('close', () => servers.sessions.delete(session));
  });
  const net = createNetServer((socket) => {
    servers.sockets.add(socket);
    socket.once('close', () => servers.sockets.delete(socket));
    sniff(socket, options.sniffDeadlineMs ?? SNIFF_DEADLINE_MS, servers);
  });
  await listen(net, options);
  const { port } = net.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  let closing: Promise<void> | null = null;
  return {
    url: `http://${host}:${port}`,
    port,
    close: () => (closing ??= drain(net, servers, options.drainMs ?? DRAIN_MS)),
  };
}

interface Servers {
  readonly http: HttpServer;
  readonly http2: Http2Server;
  readonly sockets: ReadonlySet<Socket>;
  readonly sessions: ReadonlySet<ServerHttp2Session>;
}

function createHttp1(options: ListenerOptions): HttpServer {
  const server = createHttpServer({ keepAliveTimeout: KEEP_ALIVE_MS }, options.onRequest);
  if (options.onUpgrade !== undefined) server.on('upgrade', options.onUpgrade);
  // A server that never listens enforces no header and request timeouts; this event turns its checker on.
  server.emit('listening');
  return server;
}

function createHttp2(options: ListenerOptions): Http2Server {
  const server = createHttp2Server(
    {
      maxSessionInvalidFrames: HTTP2_INVALID_FRAMES_MAX,
      settings: { maxConcurrentStreams: HTTP2_STREAMS_MAX, initialWindowSize: HTTP2_WINDOW_BYTES },
    },
    options.onRequest,
  );
  // A broken session destroys itself; without a listener its error would end the process.
  server.on('sessionError', () => undefined);
  return server;
}

function sniff(socket: Socket, deadlineMs: number, servers: Servers): void {
  const abandon = (): void => {
    socket.destroy();
  };
  const deadline = setTimeout(abandon, deadlineMs);
  const stop = (): void => {
    clearTimeout(deadline);
    socket.off('readable', onReadable);
    socket.off('error', abandon);
    socket.off('end', abandon);
    socket.off('close', stop);
  };
  const onReadable = (): void => {
    const head = socket.read(SNIFFED_BYTES) as Buffer | null;
    if (head === null) return;
    stop();
    // Fewer only at the end of the stream.
    if (head.length < SNIFFED_BYTES) {
      abandon();
      return;
    }
    socket.unshift(head);
    const server = head.toString('latin1') === 'PRI' ? servers.http2 : servers.http;
    server.emit('connection', socket);
  };
  socket.on('readable', onReadable);
  socket.on('error', abandon);
  socket.once('end', abandon);
  socket.once('close', stop);
}

function listen(net: NetServer, options: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException): void =>
      reject(bindProblem(cause, options.host, options.port));
    net.once('error', fail);
    net.listen(options.port, options.host, () => {
      net.off('error', fail);
      resolve();
    });
  });
}

/** GOAWAY to every session, idle sockets at once, busy ones when they fall idle, the rest at the deadline. */
function drain(net: NetServer, servers: Servers, drainMs: number): Promise<void> {
  return new Promise((resolve) => {
    const sweep = setInterval(() => servers.http.closeIdleConnections(), IDLE_SWEEP_MS);
    const deadline = setTimeout(() => {
      for (const session of servers.sessions) session.destroy();
      for (const socket of servers.sockets) socket.destroy();
    }, drainMs);
    net.close(() => {
      clearInterval(sweep);
      clearTimeout(deadline);
      resolve();
    });
    // It never listened, so its callback gets an error that means nothing; it stops the timeout checker.
    servers.http.close(() => undefined);
    for (const session of servers.sessions) session.close();
  });
}
