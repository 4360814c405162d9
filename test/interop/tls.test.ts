// Goal: everything that works in plaintext works over TLS. Method: a real server with a certificate of its own.
import { once } from 'node:events';
import { connect as http2Connect } from 'node:http2';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { CREDENTIALS, run, startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { needs } from '../tools.ts';

afterEach(stopAll);

const TLS = { TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true', TRIBUTARY_SERVER_TLS_PORT: '0' };

function trusted(server: RunningServer): string {
  return join(server.data, 'tls-certificate.pem');
}

test('the AWS CLI, HTTP/2 and gateways, across a restart', async (context) => {
  needs(context, 'aws');
  const server = await startServer({ env: TLS });
  const url = String(server.ready['httpsUrl']);
  expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
  const ca = readFileSync(trusted(server));
  const aws = await run(
    'aws',
    ['kinesis', 'create-stream', '--stream-name', 's', '--shard-count', '1', '--endpoint-url', url],
    {
      env: {
        AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
        AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
        AWS_DEFAULT_REGION: 'us-east-1',
        AWS_CA_BUNDLE: trusted(server),
      },
    },
  );
  expect([aws.code, aws.stderr]).toEqual([0, '']);

  const session = http2Connect(url, { ca });
  const health = await session.request({ ':path': '/healthz' }).toArray();
  expect(JSON.parse(String(health))).toEqual({ status: 'ok' });
  session.close();

  const socket = new WebSocket(`${url.replace('https', 'wss')}/sync/v1`, { ca });
  await once(socket, 'open');
  socket.terminate();

  expect(await server.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  const next = await server.restart();
  // What was trusted before still is.
  const again = http2Connect(String(next.ready['httpsUrl']), { ca });
  expect(String(await again.request({ ':path': '/healthz' }).toArray())).toContain('ok');
  again.close();
});

test('SIGTERM ends it with idle and busy TLS connections', async () => {
  const server = await startServer({ env: TLS });
  const session = http2Connect(String(server.ready['httpsUrl']), { ca: readFileSync(trusted(server)) });
  session.on('error', () => undefined);
  await once(session, 'connect');
  const half = session.request({ ':method': 'POST', ':path': '/' });
  half.on('error', () => undefined);
  half.write('{');
  expect(await server.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  session.destroy();
});
