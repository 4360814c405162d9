// What an operator may set of encryption at rest, and what it means for the keys of the data folder.
import { resolve } from 'node:path';
import { z } from 'zod';
import type { KeySetting } from './master-key.ts';

const credentialName = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{1,255}$/, 'must be the name of a credential: letters, digits, _ . -')
  .default('tributary')
  .describe('Name of the credential that the unit loads with LoadCredentialEncrypted=');

const off = z.strictObject({
  provider: z.literal('off').describe('New records are stored in the clear; sealed ones stay readable'),
});
export const fileKey = z.strictObject({
  provider: z.literal('file').describe('The master key is a file of 32 bytes'),
  keyFile: z
    .string()
    .min(1)
    .max(4096)
    .optional()
    .describe(
      'The key file; default: the one in the data folder, which then must be backed up apart from it',
    ),
});
export const credentialKey = z.strictObject({
  provider: z.literal('systemd-credential').describe('The master key is handed over by systemd'),
  credential: credentialName,
});
export const kmsKey = z.strictObject({
  provider: z.literal('aws-kms').describe('The master key stays in AWS KMS'),
  keyId: z.string().min(1).max(2048).describe('Key id, key ARN or alias'),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,32}$/, 'must be a region, e.g. eu-central-1')
    .describe('Region of the key'),
  endpoint: z
    .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
    .optional()
    .describe("Where KMS answers; default: the region's endpoint of AWS"),
});

export type EncryptionConfig =
  | z.output<typeof off>
  | z.output<typeof fileKey>
  | z.output<typeof credentialKey>
  | z.output<typeof kmsKey>;

const NAMES = 'off, file, systemd-credential';

/** A gateway must open its log where there is no network. */
export const edgeEncryption = z
  .discriminatedUnion('provider', [off, fileKey, credentialKey], {
    error: `must have provider ${NAMES}; aws-kms is for the server alone, because a gateway must start without a network`,
  })
  .default({ provider: 'off' });

export const serverEncryption = z
  .discriminatedUnion('provider', [off, fileKey, credentialKey, kmsKey], {
    error: `must have provider ${NAMES} or aws-kms`,
  })
  .default({ provider: 'off' });

/** Null: new blocks are not sealed. */
export function keySettingOf(config: EncryptionConfig): KeySetting | null {
  switch (config.provider) {
    case 'off':
      return null;
    case 'file':
      return { provider: 'file', ...(config.keyFile === undefined ? {} : { path: resolve(config.keyFile) }) };
    case 'systemd-credential':
      return { provider: 'systemd-credential', name: config.credential };
    case 'aws-kms':
      return config;
  }
}
