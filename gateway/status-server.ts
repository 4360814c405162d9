// The read-only page of the gateway on a loopback address: /status for people and scripts, /metrics, /healthz.
import { createServer } from 'node:http';
import type { Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from '../stream/ports.ts';
import type { MetricsRegistry } from '../runtime/metrics.ts';

export interface StatusParts {
  readonly status: () => Promise<object>;
  readonly metrics: MetricsRegistry;
  readonly log: Log;
}

export interface StatusServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Null when the port is in use: the gateway goes on without the page and says so. */
export function openStatusServer(
  { host, port }: { readonly host: string; readonly port: number },
  parts: StatusParts,
): Promise<StatusServer | null> {
  const server = createServer((request, response) => {
    void answer(request.method ?? '', request.url ?? '/', response, parts);
  });
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') return reject(error);
      parts.log.warn('status page is off: its port is in use; choose another with --status-port', {
        host,
        port,
      });
      resolve(null);
    });
    server.listen(port, host, () => {
      const { port: bound } = server.address() as AddressInfo;
      const name = host.includes(':') ? `[${host}]` : host;
      resolve({ url: `http://${name}:${bound}`, close: () => closeServer(server) });
    });
  });
}

async function answer(
  method: string,
  url: string,
  response: ServerResponse,
  parts: StatusParts,
): Promise<void> {
  const path = url.split('?')[0];
  if (method !== 'GET' && method !== 'HEAD')
    return send(response, 405, 'text/plain', 'the status page is read-only\n');
  try {
    if (path === '/healthz') return send(response, 200, 'text/plain', 'ok\n');
    if (path === '/metrics') return send(response, 200, 'text/plain; version=0.0.4', parts.metrics.render());
    if (path !== '/' && path !== '/status')
      return send(response, 404, 'text/plain', 'try /status, /metrics or /healthz\n');
    send(response, 200, 'application/json', `${JSON.stringify(await parts.status(), null, 2)}\n`);
  } catch (error) {
    parts.log.warn('status cannot be told', { error });
    send(response, 500, 'text/plain', 'the status cannot be told; see the log\n');
  }
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { 'Content-Type': type, 'X-Content-Type-Options': 'nosniff' });
  response.end(body);
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
