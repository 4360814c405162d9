// Goal: policies see where a request came from and whether it came over TLS, on every transport. Method: real listeners.
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { connect as http2Connect } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { afterEach, expect, test } from 'vitest';
import { makeSelfSigned } from '../../runtime/self-signed.ts';
import { openListener } from '../../server/wire/listener.ts';
import type { Listener } from '../../server/wire/listener.ts';
import { originOf } from '../../server/wire/origin.ts';

let open: Listener | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

const tls = makeSelfSigned(['localhost', '127.0.0.1', '::1'], Date.now());

async function start(isSecure: boolean, host = '127.0.0.1'): Promise<Listener> {
  open = await openListener({
    host,
    port: 0,
    ...(isSecure ? { tls } : {}),
    drainMs: 300,
    onRequest: (request, response) => response.end(JSON.stringify(originOf(request, 'id'))),
  });
  return open;
}

test.each([false, true])('TLS: %s, over HTTP/1.1 and HTTP/2', async (isSecure) => {
  const { port, url } = await start(isSecure);
  const expected = { sourceAddress: '127.0.0.1', isSecure, requestId: 'id' };
  const send = isSecure ? httpsRequest : httpRequest;
  const request = send({ host: '127.0.0.1', port, ca: tls.cert, agent: false }).end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect(JSON.parse(String(await response.toArray()))).toEqual(expected);
  const session = http2Connect(url, { ca: tls.cert });
  expect(JSON.parse(String(await session.request({ ':path': '/' }).toArray()))).toEqual(expected);
  session.close();
});

test('an IPv4 client of a socket for both families has its IPv4 address', async () => {
  const { port } = await start(false, '::ffff:127.0.0.1');
  const request = httpRequest({ host: '127.0.0.1', port, agent: false }).end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect(JSON.parse(String(await response.toArray()))).toMatchObject({ sourceAddress: '127.0.0.1' });
});
