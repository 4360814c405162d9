// Ids and secrets in the form that AWS clients and scanners for leaked keys know (IAM User Guide, IAM identifiers).
import { randomBytes } from 'node:crypto';

/** AKIA: an access key; ASIA: a temporary one; AIDA: a user. */
type IdPrefix = 'AKIA' | 'ASIA' | 'AIDA';

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const ID_CHARS = 16;
const SECRET_BYTES = 30;

export function newId(prefix: IdPrefix): string {
  return prefix + Array.from(randomBytes(ID_CHARS), (byte) => BASE32[byte % BASE32.length]).join('');
}

/** 40 characters. */
export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}
