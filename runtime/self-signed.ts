// A certificate that a program signs itself, for development and first starts (RFC 5280): whoever trusts exactly this one
// trusts the program. Node makes keys and signatures, but no certificates.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import { der } from './der.ts';

export interface KeyAndCertificate {
  /** PEM. */
  readonly key: string;
  readonly cert: string;
}

const DAY_MS = 86_400_000;
/** Clients whose clock is a little behind must not refuse it. */
const BACKDATED_MS = DAY_MS;
const VALID_MS = 3_650 * DAY_MS;
const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const;
/** digitalSignature and keyCertSign: it stands at the end of its chain and at the top. */
const KEY_USAGE = { bits: 0x84, unused: 2 };
const GENERAL_NAME = { dns: 2, address: 7 } as const;

/** A P-256 key, which every TLS client knows, and a certificate for host names and addresses. */
export function makeSelfSigned(names: readonly string[], nowMs: number): KeyAndCertificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const signed = toBeSigned(spki, names, nowMs);
  const signature = sign('sha256', signed, privateKey);
  const certificate = der.sequence(signed, algorithm(), der.bits(signature));
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: pem(certificate),
  };
}

function toBeSigned(spki: Uint8Array, names: readonly string[], nowMs: number): Uint8Array {
  const issuerAndSubject = der.sequence(
    der.set(der.sequence(der.objectId(OID.commonName), der.text(names[0] ?? ''))),
  );
  const validity = der.sequence(der.time(nowMs - BACKDATED_MS), der.time(nowMs + VALID_MS));
  const serial = randomBytes(16);
  serial[0] = 0x40 | ((serial[0] ?? 0) & 0x3f);
  return der.sequence(
    der.around(0, der.integer(Buffer.of(2))),
    der.integer(serial),
    algorithm(),
    issuerAndSubject,
    validity,
    issuerAndSubject,
    spki,
    der.around(3, extensions(spki, names)),
  );
}

function extensions(spki: Uint8Array, names: readonly string[]): Uint8Array {
  const keyId = createHash('sha1').update(spki).digest();
  return der.sequence(
    critical(OID.basicConstraints, der.sequence(der.true())),
    critical(OID.keyUsage, der.bits(Buffer.of(KEY_USAGE.bits), KEY_USAGE.unused)),
    extension(OID.extendedKeyUsage, der.sequence(der.objectId(OID.serverAuth))),
    extension(OID.subjectKeyId, der.octets(keyId)),
    extension(OID.authorityKeyId, der.sequence(der.context(0, keyId))),
    extension(OID.subjectAltName, der.sequence(...names.map(generalName))),
  );
}

function extension(id: string, value: Uint8Array): Uint8Array {
  return der.sequence(der.objectId(id), der.octets(value));
}

function critical(id: string, value: Uint8Array): Uint8Array {
  return der.sequence(der.objectId(id), der.true(), der.octets(value));
}

function algorithm(): Uint8Array {
  return der.sequence(der.objectId(OID.ecdsaWithSha256));
}

function generalName(name: string): Uint8Array {
  if (isIP(name) === 0) return der.context(GENERAL_NAME.dns, Buffer.from(name, 'latin1'));
  return der.context(GENERAL_NAME.address, addressBytes(name));
}

function addressBytes(address: string): Uint8Array {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((one) => parseInt(one, 16));
  const start = groups(head);
  const end = groups(tail ?? '');
  const all = [...start, ...Array<number>(8 - start.length - end.length).fill(0), ...end];
  return Buffer.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

function pem(certificate: Uint8Array): string {
  const lines =
    Buffer.from(certificate)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
