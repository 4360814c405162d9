// What the two sides sign to prove who they are: Ed25519 over a text that names its purpose and the other's nonce,
// so that no signature can be used twice or for another purpose. No clock is needed.
import { createPublicKey, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export const NONCE_BYTES = 32;

/** What the server signs when a gateway opens a session. */
export function challengeText(gateway: string, gatewayNonce: string, serverNonce: string): Uint8Array {
  return Buffer.from(`tributary challenge 1\n${gateway}\n${gatewayNonce}\n${serverNonce}`);
}

/** What the gateway signs in its hello. */
export function helloText(gateway: string, serverNonce: string, token: string): Uint8Array {
  return Buffer.from(`tributary hello 1\n${gateway}\n${serverNonce}\n${token}`);
}

/** What the server signs when it takes a gateway in. */
export function enrolmentText(nonce: string, gateway: string, gatewayPublicKey: string): Uint8Array {
  return Buffer.from(`tributary enrol 1\n${nonce}\n${gateway}\n${gatewayPublicKey}`);
}

export function signText(text: Uint8Array, privateKey: KeyObject): string {
  return sign(null, text, privateKey).toString('base64');
}

/** `publicKey` is SPKI in DER. False also for what is no key or no signature. */
export function isSignedBy(text: Uint8Array, signature: string, publicKey: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' });
    return key.asymmetricKeyType === 'ed25519' && verify(null, text, key, Buffer.from(signature, 'base64'));
  } catch {
    // Not a key: then it is nobody's signature either.
    return false;
  }
}
