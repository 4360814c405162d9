// The key and certificate of the TLS port: an operator's files, followed when they are renewed, or one made once and kept in
// the data folder.
import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeSelfSigned } from '../runtime/self-signed.ts';
import type { KeyAndCertificate } from '../runtime/self-signed.ts';
import { giveName, nameToMake, removeUnfinished } from '../runtime/whole-file.ts';
import { TributaryError } from '../stream/errors.ts';
import type { Log } from '../stream/ports.ts';
import type { TlsConfig } from './config.ts';

/** Key and certificate in one file: never one without the other. */
const SELF_SIGNED = 'tls-self-signed.pem';
/** What clients are to trust: the certificate alone. */
const TRUSTED = 'tls-certificate.pem';
/** Programs that renew certificates replace files in many ways; looking at them is the one that sees all. */
const LOOK_MS = 60_000;

/** Throws CONFIG_INVALID that names the file and what is wrong with it. */
export function certificateOf(tls: TlsConfig, dataFolder: string, host: string): KeyAndCertificate {
  const { certFile, keyFile } = tls;
  if (certFile === undefined || keyFile === undefined) return selfSignedIn(dataFolder, host);
  const given = { cert: readText('tls.certFile', certFile), key: readText('tls.keyFile', keyFile) };
  checkPair(given, certFile, keyFile);
  return given;
}

/** Calls `renew` with what the files hold once they changed; a broken pair changes nothing and is logged. */
export function followCertificate(
  { certFile, keyFile }: TlsConfig,
  renew: (given: KeyAndCertificate) => void,
  log: Log,
  lookMs = LOOK_MS,
): { close(): void } {
  if (certFile === undefined || keyFile === undefined) return { close: () => undefined };
  let seen = stampOf([certFile, keyFile]);
  const timer = setInterval(() => {
    const stamp = stampOf([certFile, keyFile]);
    if (stamp === seen) return;
    seen = stamp;
    try {
      renew(certificateOf({ certFile, keyFile }, '', ''));
      log.notice('the certificate was renewed', { certFile });
    } catch (error) {
      log.error('the new certificate cannot be used; the old one stays', { error });
    }
  }, lookMs);
  return { close: () => clearInterval(timer) };
}

/** Made anew when the host is none of its names, or its time is over. */
function selfSignedIn(folder: string, host: string): KeyAndCertificate {
  const path = join(folder, SELF_SIGNED);
  removeUnfinished(path);
  const kept = readKept(path);
  const isGood = kept !== null && covers(new X509Certificate(kept.cert), host);
  const pair = isGood ? kept : makeIn(path, host);
  writeFileSync(join(folder, TRUSTED), pair.cert, { mode: 0o644 });
  return pair;
}

function makeIn(path: string, host: string): KeyAndCertificate {
  const pair = makeSelfSigned(namesFor(host), Date.now());
  const made = nameToMake(path);
  writeFileSync(made, pair.key + pair.cert, { mode: 0o600 });
  rmSync(path, { force: true });
  giveName(made, path);
  return pair;
}

function readKept(path: string): KeyAndCertificate | null {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return null;
  const text = readText(SELF_SIGNED, path);
  const certAt = text.indexOf('-----BEGIN CERTIFICATE');
  const pair = { key: text.slice(0, certAt), cert: text.slice(certAt) };
  checkPair(pair, path, path);
  return pair;
}

function namesFor(host: string): string[] {
  return [...new Set(['localhost', hostname(), '127.0.0.1', '::1', ...(isWildcard(host) ? [] : [host])])];
}

function covers(certificate: X509Certificate, host: string): boolean {
  if (Date.parse(certificate.validTo) < Date.now()) return false;
  if (isWildcard(host)) return true;
  return (certificate.checkIP(host) ?? certificate.checkHost(host)) !== undefined;
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

function checkPair({ key, cert }: KeyAndCertificate, certFile: string, keyFile: string): void {
  try {
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return;
  } catch (cause) {
    const text = `${certFile} must hold a certificate and ${keyFile} its private key, both in PEM and without passphrase`;
    throw new TributaryError('CONFIG_INVALID', text, { cause });
  }
  const text = `the key in ${keyFile} is not that of the certificate in ${certFile}`;
  throw new TributaryError('CONFIG_INVALID', `${text}; the first certificate must be the server's own`);
}

function readText(setting: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new TributaryError('CONFIG_INVALID', `${setting} ${path} cannot be read`, { cause });
  }
}

function stampOf(paths: readonly string[]): string {
  const stamps = paths.map((path) => {
    const status = statSync(path, { throwIfNoEntry: false });
    return `${status?.ino} ${status?.mtimeMs} ${status?.size}`;
  });
  return stamps.join('\n');
}
