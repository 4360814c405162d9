// Who this server is to gateways: an Ed25519 key pair, made at the first start and kept sealed in Meta.
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import type { Meta } from '../../stream/ports.ts';
import type { Sealer } from '../../runtime/key-provider.ts';
import { fingerprintOf } from '../../sync/enrolment-code.ts';
import { openSecret } from '../access/server-secrets.ts';

export interface ServerIdentity {
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
  /** What enrolment codes pin. */
  readonly fingerprint: string;
  sign(bytes: Uint8Array): Buffer;
}

export async function openServerIdentity(meta: Meta, sealer: Sealer): Promise<ServerIdentity> {
  const der = await openSecret(meta, sealer, 'identity', makePrivateKey);
  const privateKey = createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return {
    publicKey,
    fingerprint: fingerprintOf(publicKey),
    sign: (bytes) => sign(null, bytes, privateKey),
  };
}

function makePrivateKey(): Uint8Array {
  return generateKeyPairSync('ed25519').privateKey.export({ format: 'der', type: 'pkcs8' });
}
