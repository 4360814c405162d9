// A key that systemd hands to the service alone (systemd.exec, LoadCredentialEncrypted): sealed to the machine's TPM, or
// to a key of the host, and never on the disk in the clear.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TributaryError } from '../stream/errors.ts';
import { KEY_BYTES } from './key-provider.ts';

/** 32 bytes as they are, or in hex or base64 with white space around. */
export function readCredential(name: string, env: Readonly<Record<string, string | undefined>>): Uint8Array {
  const folder = env['CREDENTIALS_DIRECTORY'];
  if (folder === undefined || folder === '') {
    throw invalid(
      `systemd credential ${name} cannot be read, because CREDENTIALS_DIRECTORY is not set; start the program by its unit, with LoadCredentialEncrypted=${name}:FILE in it`,
    );
  }
  const key = keyOf(readBytes(name, join(folder, name)));
  if (key !== null) return key;
  throw invalid(
    `systemd credential ${name} is no key: it must be ${KEY_BYTES} bytes, as they are or in hex or base64; make one with: head -c ${KEY_BYTES} /dev/urandom | systemd-creds encrypt --name=${name} - FILE`,
  );
}

function readBytes(name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    const fix = `add LoadCredentialEncrypted=${name}:FILE to the unit`;
    throw invalid(`systemd credential ${name} cannot be read at ${path} (${code}); ${fix}`, cause);
  }
}

function keyOf(bytes: Buffer): Uint8Array | null {
  if (bytes.length === KEY_BYTES) return bytes;
  const text = bytes.toString('latin1').trim();
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  if (/^[A-Za-z0-9+/]{43}=$/.test(text)) return Buffer.from(text, 'base64');
  return null;
}

function invalid(message: string, cause?: unknown): TributaryError {
  return new TributaryError('KEY_INVALID', message, { cause });
}
