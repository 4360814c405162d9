// Where gateways connect: accepts WebSocket upgrades on the sync path and hands each socket to the session.
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { AssertionFailure } from '../stream/errors.ts';
import type { Log } from '../stream/ports.ts';
import { STORED_BLOCK_BYTES_MAX } from '../stream/limits.ts';
import { CONTROL_BYTES_MAX, SYNC_PATH } from '../sync/protocol.ts';
import { DEFAULT_STRANGER_LIMITS, Strangers } from './strangers.ts';
import type { StrangerLimits } from './strangers.ts';

/** The largest frame: one block of one record with the head of its frame. */
const FRAME_BYTES_MAX = Math.max(STORED_BLOCK_BYTES_MAX, CONTROL_BYTES_MAX) + 64;
const SESSIONS_MAX = 10_000;
/** How long a gateway may take to answer the close before it is cut off. */
const CLOSE_MS = 2_000;
const GOING_AWAY = 1001;

/** Resolves when the session is over and nothing of it is under way. Calls `greeted` when the gateway is known. */
export type OnSession = (socket: WebSocket, greeted: () => void) => Promise<void>;

export interface EndpointParts {
  readonly log: Log;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  /** For tests. */
  readonly limits?: StrangerLimits;
}

export interface SyncEndpoint {
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  readonly sessionCount: number;
  /** Asks every gateway to go, and resolves when all sessions are over. */
  close(): Promise<void>;
}

export function openSyncEndpoint(onSession: OnSession, { log, now, limits }: EndpointParts): SyncEndpoint {
  const strangers = new Strangers(limits ?? DEFAULT_STRANGER_LIMITS, now);
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: FRAME_BYTES_MAX,
    perMessageDeflate: false,
    clientTracking: true,
  });
  const sessions = new Set<Promise<void>>();
  let isClosing = false;
  const serve = async (webSocket: WebSocket, greeted: () => void): Promise<void> => {
    try {
      await onSession(webSocket, greeted);
    } catch (error) {
      // A broken invariant of ours is meant to end the process.
      if (error instanceof AssertionFailure) throw error;
      log.error('sync session failed', { error });
      webSocket.terminate();
    }
  };
  return {
    upgrade: (request, socket, head) => {
      // Until the WebSocket owns it, a reset of the socket would end the process.
      const ignore = (): void => undefined;
      socket.on('error', ignore);
      if (pathOf(request) !== SYNC_PATH) return refuse(socket, '404 Not Found');
      if (isClosing || server.clients.size >= SESSIONS_MAX) return refuse(socket, '503 Service Unavailable');
      if (!strangers.hasRoom()) return refuse(socket, '503 Service Unavailable');
      server.handleUpgrade(request, socket, head, (webSocket) => {
        socket.off('error', ignore);
        // A broken frame ends the socket; what the session makes of that is told by 'close'.
        webSocket.on('error', (error) => log.info('sync socket broke', { error }));
        const session = serve(webSocket, strangers.add(socket));
        sessions.add(session);
        void session.then(() => sessions.delete(session));
      });
    },
    get sessionCount() {
      return server.clients.size;
    },
    close: async () => {
      isClosing = true;
      await Promise.all([...server.clients].map(closeSocket));
      await Promise.allSettled(sessions);
      server.close();
    },
  };
}

function closeSocket(socket: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    const deadline = setTimeout(() => socket.terminate(), CLOSE_MS);
    socket.once('close', () => {
      clearTimeout(deadline);
      resolve();
    });
    if (socket.readyState === socket.CLOSED) socket.emit('close', GOING_AWAY, Buffer.alloc(0));
    else socket.close(GOING_AWAY, 'the server stops');
  });
}

function refuse(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? '/').split('?')[0] ?? '/';
}
