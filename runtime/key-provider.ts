// The key file beside a store, made at first use, and how values are sealed with a key.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { TributaryError } from '../stream/errors.ts';
import { giveName, nameToMake, removeUnfinished } from './whole-file.ts';

/** Seals small secrets with AES-256-GCM; `context` is authenticated, so that a value cannot be moved to another key. */
export interface Sealer {
  seal(plain: Uint8Array, context: string): Uint8Array;
  /** Throws KEY_INVALID when the key is another one or the value was changed. */
  open(sealed: Uint8Array, context: string): Uint8Array;
}

/** AES-256. */
export const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const VERSION = 1;

export interface SealedStore {
  /** What the key opens. */
  readonly storeFile: string;
  /** What to do when the key has no backup either. */
  readonly lastResort: string;
}

/**
 * Reads the key file, or makes it with mode 0600; but none beside the store it should open, where a new one would hide
 * that the right one is missing. Throws KEY_INVALID for that, a wrong size, or a file others may read.
 */
export function openFileKey(path: string, sealed?: SealedStore): Sealer {
  const known = readKeyFile(path);
  if (known === null && sealed !== undefined && existsSync(sealed.storeFile))
    throw missingKeyFile(path, sealed);
  return sealerOf(known ?? createKeyFile(path));
}

export function sealerOf(key: Uint8Array): Sealer {
  return {
    seal: (plain, context) => seal(key, plain, context),
    open: (sealed, context) => open(key, sealed, context),
  };
}

/** Null: it is not there. Throws KEY_INVALID for a wrong size, or a file others may read. */
export function readKeyFile(path: string): Uint8Array | null {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return null;
  if ((status.mode & 0o077) !== 0) {
    throw new TributaryError('KEY_INVALID', `key file ${path} can be read by others; run: chmod 600 ${path}`);
  }
  const key = readFileSync(path);
  if (key.length === KEY_BYTES) return key;
  throw new TributaryError(
    'KEY_INVALID',
    `key file ${path} has ${key.length} bytes instead of ${KEY_BYTES}; restore it from its backup`,
  );
}

export function missingKeyFile(path: string, { storeFile, lastResort }: SealedStore): TributaryError {
  return new TributaryError(
    'KEY_INVALID',
    `${basename(path)} is missing from ${dirname(path)} (it opens the identity and secrets in ${basename(storeFile)}); restore it from its backup, or ${lastResort}`,
  );
}

/** Whole and durable when it returns, and never seen half written. Throws when the file is there already. */
export function createKeyFile(path: string): Uint8Array {
  removeUnfinished(path);
  const made = nameToMake(path);
  const key = randomBytes(KEY_BYTES);
  writeFileSync(made, key, { mode: 0o600, flag: 'wx' });
  if (giveName(made, path)) return key;
  // Two programs that start at once must not end up with two keys.
  throw new TributaryError(
    'KEY_INVALID',
    `key file ${path} was made by another program just now; start again`,
  );
}

function seal(key: Uint8Array, plain: Uint8Array, context: string): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(context));
  return Buffer.concat([
    Buffer.of(VERSION),
    nonce,
    cipher.update(plain),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
}

function open(key: Uint8Array, sealed: Uint8Array, context: string): Uint8Array {
  const end = sealed.length - TAG_BYTES;
  try {
    if (sealed[0] !== VERSION || end < 1 + NONCE_BYTES) throw new RangeError('not a sealed value');
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + NONCE_BYTES));
    decipher.setAAD(Buffer.from(context));
    decipher.setAuthTag(sealed.subarray(end));
    return Buffer.concat([decipher.update(sealed.subarray(1 + NONCE_BYTES, end)), decipher.final()]);
  } catch (cause) {
    throw new TributaryError(
      'KEY_INVALID',
      'the key does not open this value; is it the key file of this data folder?',
      { cause },
    );
  }
}
