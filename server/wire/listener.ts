// A port, plaintext or TLS, and its closing within a bound. Both serve HTTP/1.1 and HTTP/2: the handshake of TLS says which,
// or the first three bytes do (prior knowledge).
import { createServer as createNetServer } from 'node:net';
import type { AddressInfo, Server as NetServer, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { Server as TlsServer } from 'node:tls';
import type { KeyAndCertificate } from '../../runtime/self-signed.ts';
import { bindProblem } from './bind-problem.ts';
import { HttpServers } from './http-servers.ts';
import type { HttpHandlers } from './http-servers.ts';
import { WIRE_LIMITS } from './limits.ts';
import type { WireLimits } from './limits.ts';

export type { WireRequest, WireResponse } from './http-servers.ts';

export interface ListenerOptions extends HttpHandlers {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Absent: plaintext. */
  readonly tls?: KeyAndCertificate;
  /** How long requests under way may take after close. */
  readonly drainMs?: number;
  /** For tests. */
  readonly limits?: Partial<WireLimits>;
}

export interface Listener {
  readonly url: string;
  readonly port: number;
  /** New connections get another certificate; throws what is wrong with it. Only over TLS. */
  renew(tls: KeyAndCertificate): void;
  /** Stops accepting, lets requests finish for a while, then cuts what is left. Idempotent. */
  close(): Promise<void>;
}

const SNIFFED_BYTES = 3;
const DRAIN_MS = 3_000;

/** Throws CONFIG_INVALID when it cannot listen there. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const limits: WireLimits = { ...WIRE_LIMITS, ...options.limits };
  const servers = new HttpServers(options, limits);
  const sockets = new Set<Socket>();
  const tls = options.tls === undefined ? null : tlsServer(options.tls, servers, limits);
  const net = tls ?? createNetServer({ noDelay: true }, (socket) => sniff(socket, limits.helloMs, servers));
  net.maxConnections = limits.connections;
  net.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await listen(net, options);
  const { port } = net.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  let closing: Promise<void> | null = null;
  return {
    url: `${tls === null ? 'http' : 'https'}://${host}:${port}`,
    port,
    renew: (given) => tls?.setSecureContext({ key: given.key, cert: given.cert }),
    close: () => (closing ??= drain(net, servers, sockets, options.drainMs ?? DRAIN_MS)),
  };
}

/** Not every client says in its handshake which HTTP it will speak: that of the SDK for Java begins with HTTP/2 as it is. */
function tlsServer({ key, cert }: KeyAndCertificate, servers: HttpServers, limits: WireLimits): TlsServer {
  const options = {
    key,
    cert,
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: limits.helloMs,
    noDelay: true,
  };
  return createTlsServer(options, (socket) => {
    const { alpnProtocol } = socket;
    if (alpnProtocol === 'h2' || alpnProtocol === 'http/1.1') servers.serve(socket, alpnProtocol);
    else sniff(socket, limits.helloMs, servers);
  });
}

function sniff(socket: Socket, deadlineMs: number, servers: HttpServers): void {
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
    servers.serve(socket, head.toString('latin1') === 'PRI' ? 'h2' : 'http/1.1');
  };
  socket.on('readable', onReadable);
  socket.on('error', abandon);
  socket.once('end', abandon);
  socket.once('close', stop);
}

function listen(net: NetServer, options: ListenerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: NodeJS.ErrnoException): void => reject(bindProblem(cause, options));
    net.once('error', fail);
    net.listen(options.port, options.host, () => {
      net.off('error', fail);
      resolve();
    });
  });
}

/** What is not over at the deadline is cut. */
function drain(
  net: NetServer,
  servers: HttpServers,
  sockets: ReadonlySet<Socket>,
  drainMs: number,
): Promise<void> {
  return new Promise((resolve) => {
    const stopSweep = servers.drain();
    const deadline = setTimeout(() => {
      servers.destroy();
      for (const socket of sockets) socket.destroy();
    }, drainMs);
    net.close(() => {
      stopSweep();
      clearTimeout(deadline);
      resolve();
    });
  });
}
