// Master keys: what wraps the data keys of a store. A program opens the one of its settings, and for what is older those
// that the store's own table of keys names.
import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { TributaryError } from '../stream/errors.ts';
import { openKms } from './aws-kms.ts';
import { KEY_BYTES, readKeyFile, sealerOf } from './key-provider.ts';
import { readCredential } from './systemd-credential.ts';

const fileKey = z.strictObject({
  provider: z.literal('file'),
  /** Absent: the key file of the data folder, wherever that is moved to. */
  path: z.string().min(1).max(4096).optional(),
});
const credentialKey = z.strictObject({
  provider: z.literal('systemd-credential'),
  name: z.string().regex(/^[A-Za-z0-9_.-]{1,255}$/, 'must be the name of a credential'),
});
const kmsKey = z.strictObject({
  provider: z.literal('aws-kms'),
  /** Key id, key ARN or alias. */
  keyId: z.string().min(1).max(2048),
  region: z.string().regex(/^[a-z0-9-]{1,32}$/),
  endpoint: z.url({ protocol: /^https?$/ }).optional(),
});

/** Where a master key is found; holds no secret, so it is kept beside what the key wraps. */
export const keySetting = z.discriminatedUnion('provider', [fileKey, credentialKey, kmsKey]);
export type KeySetting = z.output<typeof keySetting>;

export interface MasterKey {
  readonly setting: KeySetting;
  /** Tells master keys apart and says nothing of them. */
  readonly fingerprint: string;
  /** A new data key, plain and wrapped. `context` is authenticated: a wrapped key is of use under its own name only. */
  generate(context: string): Promise<{ readonly plain: Uint8Array; readonly wrapped: Uint8Array }>;
  wrap(plain: Uint8Array, context: string): Promise<Uint8Array>;
  /** Throws KEY_INVALID when it is not what this key wrapped. */
  unwrap(wrapped: Uint8Array, context: string): Promise<Uint8Array>;
}

export interface KeyPlaces {
  /** The key file of the data folder. */
  readonly keyFile: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

const FINGERPRINT_DIGITS = 16;

/** Throws KEY_INVALID when the key is not to be had, with what to do. */
export function openMasterKey(setting: KeySetting, places: KeyPlaces): MasterKey {
  switch (setting.provider) {
    case 'file': {
      const path = setting.path ?? places.keyFile;
      const key = readKeyFile(path);
      if (key !== null) return localMasterKey(key, setting);
      throw new TributaryError('KEY_INVALID', `there is no key file ${path}; restore it from its backup`);
    }
    case 'systemd-credential':
      return localMasterKey(readCredential(setting.name, places.env), setting);
    case 'aws-kms': {
      const kms = openKms(setting, places.env);
      return { setting, fingerprint: `${setting.region}/${setting.keyId}`, ...kms };
    }
  }
}

/** A key that is in this process. */
export function localMasterKey(key: Uint8Array, setting: KeySetting): MasterKey {
  const sealer = sealerOf(key);
  const wrap = async (plain: Uint8Array, context: string): Promise<Uint8Array> => sealer.seal(plain, context);
  return {
    setting,
    fingerprint: fingerprintOf(key),
    generate: async (context) => {
      const plain = randomBytes(KEY_BYTES);
      return { plain, wrapped: await wrap(plain, context) };
    },
    wrap,
    unwrap: async (wrapped, context) => sealer.open(wrapped, context),
  };
}

function fingerprintOf(key: Uint8Array): string {
  const hash = createHash('sha256').update('tributary master key').update(key).digest('hex');
  return hash.slice(0, FINGERPRINT_DIGITS);
}

/** For people. */
export function keyPlaceOf(setting: KeySetting, { keyFile }: KeyPlaces): string {
  switch (setting.provider) {
    case 'file':
      return `key file ${setting.path ?? keyFile}`;
    case 'systemd-credential':
      return `systemd credential ${setting.name}`;
    case 'aws-kms':
      return `AWS KMS key ${setting.keyId} in ${setting.region}`;
  }
}
