// Our own certificate as others see it, and the port that serves it.
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect as http2Connect } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { makeSelfSigned } from '../../runtime/self-signed.ts';
import type { KeyAndCertificate } from '../../runtime/self-signed.ts';
import { openListener } from '../../server/wire/listener.ts';
import type { Listener } from '../../server/wire/listener.ts';
import { needs } from '../tools.ts';

const NAMES = ['localhost', 'edge.example', '127.0.0.1', '::1', 'fd00::12:0'];

let open: Listener | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

async function start(tls: KeyAndCertificate): Promise<Listener> {
  open = await openListener({
    host: '127.0.0.1',
    port: 0,
    tls,
    drainMs: 300,
    onRequest: (request, response) => {
      response.end(request.httpVersion);
    },
  });
  return open;
}

test('the certificate names what it is for, and its key', () => {
  const { key, cert } = makeSelfSigned(NAMES, Date.UTC(2026, 0, 1));
  const read = new X509Certificate(cert);
  expect(read.verify(read.publicKey)).toBe(true);
  expect(read.subjectAltName).toBe(
    'DNS:localhost, DNS:edge.example, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:FD00:0:0:0:0:0:12:0',
  );
  expect([read.checkHost('edge.example'), read.checkIP('::1'), read.checkHost('other')]).toEqual([
    'edge.example',
    '::1',
    undefined,
  ]);
  expect([read.validFrom, read.validTo]).toEqual(['Dec 31 00:00:00 2025 GMT', 'Dec 30 00:00:00 2035 GMT']);
  expect(key).toContain('BEGIN PRIVATE KEY');
  expect(new X509Certificate(makeSelfSigned(NAMES, Date.UTC(2049, 0, 1)).cert).validTo).toContain('2058');
});

test('openssl trusts it where it is the trusted one, strictly', (context) => {
  needs(context, 'openssl');
  const { cert } = makeSelfSigned(NAMES, Date.now());
  const options = '-x509_strict -purpose sslserver -verify_hostname localhost';
  const script = `cert=$(cat); openssl verify ${options} -CAfile <(echo "$cert") <(echo "$cert")`;
  const said = execFileSync('bash', ['-c', script], { input: cert, encoding: 'utf8' });
  expect(said).toMatch(/: OK\n$/);
});

test('HTTP/1.1 and HTTP/2 by what the client asks for', async () => {
  const tls = makeSelfSigned(NAMES, Date.now());
  const { port, url } = await start(tls);
  expect(url).toBe(`https://127.0.0.1:${port}`);
  const request = httpsRequest({ host: '127.0.0.1', port, ca: tls.cert, agent: false }).end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  expect(String(await response.toArray())).toBe('1.1');
  const session = http2Connect(url, { ca: tls.cert });
  expect(String(await session.request({ ':path': '/' }).toArray())).toBe('2.0');
  session.close();
});

test('HTTP/1.1 and HTTP/2 by the first bytes, when the handshake does not say', async () => {
  const tls = makeSelfSigned(NAMES, Date.now());
  const { port, url } = await start(tls);
  const silent = (): TLSSocket => tlsConnect({ host: '127.0.0.1', port, ca: tls.cert });
  const session = http2Connect(url, { createConnection: silent });
  expect(String(await session.request({ ':path': '/' }).toArray())).toBe('2.0');
  session.close();
  const socket = silent();
  expect(socket.alpnProtocol).not.toBe('http/1.1');
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  expect(String(Buffer.concat((await socket.toArray()) as Buffer[]))).toMatch(/^HTTP\/1\.1 200 [^]*1\.1/);
});

test('a new certificate holds for new connections; a broken one changes nothing', async () => {
  const [first, second] = [makeSelfSigned(NAMES, Date.now()), makeSelfSigned(NAMES, Date.now())];
  const listener = await start(first);
  const shown = async (): Promise<string> => {
    const socket = tlsConnect({ host: '127.0.0.1', port: listener.port, rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  };
  const fingerprint = ({ cert }: KeyAndCertificate): string => new X509Certificate(cert).fingerprint256;
  expect(await shown()).toBe(fingerprint(first));
  listener.renew(second);
  expect(await shown()).toBe(fingerprint(second));
  expect(() => listener.renew({ key: first.key, cert: second.cert })).toThrow();
  expect(() => listener.renew({ key: 'x', cert: 'x' })).toThrow();
  expect(await shown()).toBe(fingerprint(second));
});

test('who speaks no TLS is cut off and harms nobody', async () => {
  const tls = makeSelfSigned(NAMES, Date.now());
  const { port, url } = await start(tls);
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => undefined);
  socket.write('GET / HTTP/1.1\r\n\r\n');
  socket.resume();
  await once(socket, 'close');
  const session = http2Connect(url, { ca: tls.cert });
  expect(String(await session.request({ ':path': '/' }).toArray())).toBe('2.0');
  session.close();
});
