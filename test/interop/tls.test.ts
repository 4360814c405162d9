// Goal: everything that works in plaintext works over TLS. Method: a real server with a certificate of its own.
import { once } from 'node:events';
import { connect as http2Connect } from 'node:http2';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { CREDENTIALS, run, startGateway, startServer, stopAll } from '../processes.ts';
import type { RunningServer } from '../processes.ts';
import { fleet, kinesis } from '../signed-requests.ts';
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

test('a port alone is enough for development', async () => {
  const server = await startServer({ parameters: ['--tls-port', '0'] });
  const session = http2Connect(String(server.ready['httpsUrl']), { ca: readFileSync(trusted(server)) });
  expect(String(await session.request({ ':path': '/healthz' }).toArray())).toContain('ok');
  session.close();
});

test('a gateway enrols and delivers over TLS', async () => {
  const server = await startServer({ env: TLS });
  const { body } = await fleet(server.httpUrl, 'POST', '/api/v1/enrolment-codes', {});
  const gateway = await startGateway({
    parameters: ['--server', String(server.ready['httpsUrl']), '--enrol', String(body['code'])],
    env: { NODE_EXTRA_CA_CERTS: trusted(server) },
  });
  const client = await connectAsync(`mqtt://127.0.0.1:${gateway.mqttPort}`);
  await client.publishAsync('sensors/room1', '21.5', { qos: 1 });
  await client.endAsync();
  const start = {
    StreamName: 'telemetry',
    ShardId: 'shardId-000000000000',
    ShardIteratorType: 'TRIM_HORIZON',
  };
  const records = async (): Promise<unknown> => {
    const { body: iterator } = await kinesis(server.httpUrl, 'GetShardIterator', start);
    const { body: page } = await kinesis(server.httpUrl, 'GetRecords', iterator);
    return page['Records'];
  };
  const expected = { PartitionKey: 'sensors/room1', Data: Buffer.from('21.5').toString('base64') };
  await expect.poll(records, { timeout: 60_000 }).toEqual([expect.objectContaining(expected)]);
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
