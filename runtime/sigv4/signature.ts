// The string to sign, the signing key and the signature (AWS General Reference, Signature Version 4, tasks 2 and 3).
import { createHmac, hash } from 'node:crypto';

export const ALGORITHM = 'AWS4-HMAC-SHA256';
export const TERMINATOR = 'aws4_request';
const SIGNING_KEYS_MAX = 512;

export interface Scope {
  readonly day: string;
  readonly region: string;
  readonly service: string;
}

export function scopeText(scope: Scope): string {
  return `${scope.day}/${scope.region}/${scope.service}/${TERMINATOR}`;
}

export function stringToSign(date: string, scope: Scope, canonical: string): string {
  return `${ALGORITHM}\n${date}\n${scopeText(scope)}\n${sha256(canonical)}`;
}

export function signatureOf(accessKeyId: string, secret: string, scope: Scope, text: string): Buffer {
  return hmac(signingKey(accessKeyId, secret, scope), text);
}

/** Derivation costs four HMACs, five times the check itself. The secret is kept to notice its rotation. */
const signingKeys = new Map<string, { readonly secret: string; readonly key: Buffer }>();

function signingKey(accessKeyId: string, secret: string, scope: Scope): Buffer {
  const name = `${accessKeyId}/${scope.day}/${scope.region}/${scope.service}`;
  const cached = signingKeys.get(name);
  if (cached !== undefined && cached.secret === secret) return cached.key;
  const key = [scope.region, scope.service, TERMINATOR].reduce(hmac, hmac(`AWS4${secret}`, scope.day));
  signingKeys.delete(name);
  if (signingKeys.size >= SIGNING_KEYS_MAX) {
    for (const oldest of signingKeys.keys()) {
      signingKeys.delete(oldest);
      break;
    }
  }
  signingKeys.set(name, { secret, key });
  return key;
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

export function sha256(data: Uint8Array | string): string {
  return hash('sha256', data);
}
