// The certificate of the TLS port: kept, replaced when it does not fit, followed when an operator renews it.
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeSelfSigned } from '../../runtime/self-signed.ts';
import type { KeyAndCertificate } from '../../runtime/self-signed.ts';
import { certificateOf, followCertificate } from '../../server/certificate.ts';
import { loadServerConfig } from '../../server/config.ts';
import type { Log } from '../../stream/ports.ts';

let folder = '';
const errors: unknown[] = [];
const log: Log = {
  debug: () => undefined,
  info: () => undefined,
  notice: () => undefined,
  warn: () => undefined,
  error: (event) => void errors.push(event),
  child: () => log,
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tributary-tls-'));
  errors.length = 0;
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const SELF = { selfSigned: true };

function write({ key, cert }: KeyAndCertificate): { certFile: string; keyFile: string } {
  const [certFile, keyFile] = [join(folder, 'server.crt'), join(folder, 'server.key')];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  return { certFile, keyFile };
}

const pair = (): KeyAndCertificate => makeSelfSigned(['localhost'], Date.now());

test('a self-signed one is made once, for its host, and clients get the certificate alone', () => {
  const made = certificateOf(SELF, folder, '127.0.0.1');
  expect(certificateOf(SELF, folder, '0.0.0.0')).toEqual(made);
  const trusted = readFileSync(join(folder, 'tls-certificate.pem'), 'utf8');
  expect(trusted).toBe(made.cert);
  expect(statSync(join(folder, 'tls-self-signed.pem')).mode & 0o777).toBe(0o600);
  const other = certificateOf(SELF, folder, '192.0.2.7');
  expect(other.cert).not.toBe(made.cert);
  expect(new X509Certificate(other.cert).checkIP('192.0.2.7')).toBe('192.0.2.7');
});

test('files that do not fit are named, with what they should hold', () => {
  const files = write(pair());
  expect(certificateOf(files, folder, 'h').cert).toBe(readFileSync(files.certFile, 'utf8'));
  writeFileSync(files.keyFile, pair().key);
  expect(() => certificateOf(files, folder, 'h')).toThrow(/the key in .*server\.key is not that of/);
  writeFileSync(files.keyFile, 'x');
  expect(() => certificateOf(files, folder, 'h')).toThrow(/server\.key its private key, both in PEM/);
  rmSync(files.certFile);
  expect(() => certificateOf(files, folder, 'h')).toThrow(/tls\.certFile .*server\.crt cannot be read/);
});

test('renewed files are used, a broken pair is told and changes nothing', async () => {
  const files = write(pair());
  const renewed: string[] = [];
  const follower = followCertificate(files, ({ cert }) => renewed.push(cert), log, 5);
  const until = async (done: () => boolean): Promise<void> => {
    while (!done()) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  writeFileSync(files.keyFile, 'nothing at all');
  await until(() => errors.length > 0);
  expect(renewed).toEqual([]);
  const next = pair();
  write(next);
  await until(() => renewed.length > 0);
  expect(renewed.at(-1)).toBe(next.cert);
  follower.close();
});

test('TLS is off unless it is configured, and then either files or selfSigned', () => {
  const load = (env: Record<string, string>): unknown => loadServerConfig({ data: folder }, env).tls;
  expect(load({})).toBeUndefined();
  expect(load({ TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true' })).toEqual({ port: 4568, selfSigned: true });
  const files = { TRIBUTARY_SERVER_TLS_CERT: 'a', TRIBUTARY_SERVER_TLS_KEY: 'b' };
  expect(load(files)).toEqual({ port: 4568, certFile: 'a', keyFile: 'b', selfSigned: false });
  for (const bad of [
    { TRIBUTARY_SERVER_TLS_PORT: '1' },
    { TRIBUTARY_SERVER_TLS_CERT: 'a' },
    { ...files, TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'true' },
  ])
    expect(() => load(bad)).toThrow('tls: needs either certFile and keyFile, or selfSigned: true');
});
