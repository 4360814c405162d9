// What an operator may set of the keys that streams are encrypted with, and where each of them is found.
import { resolve } from 'node:path';
import { z } from 'zod';
import { credentialKey, fileKey, kmsKey } from './encryption-config.ts';
import type { KeySetting } from './master-key.ts';

const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const ALIAS = /^(?!aws\/)[A-Za-z0-9/_-]{1,250}$/;
const RESERVED = 'aws-kinesis';

const named = {
  aliases: z
    .array(z.string().regex(ALIAS, 'must be letters, digits, / _ - and not begin with aws/'))
    .max(50)
    .default([])
    .describe('Other names: requests say alias/NAME'),
  state: z
    .enum(['enabled', 'disabled', 'pending-deletion'])
    .default('enabled')
    .describe('What is not enabled neither encrypts nor decrypts'),
};

const namedKey = z.discriminatedUnion(
  'provider',
  [
    fileKey.extend({
      ...named,
      keyFile: z.string().min(1).max(4096).describe('The key file: 32 bytes, mode 0600, apart from the data'),
    }),
    credentialKey.extend(named),
    kmsKey.extend(named),
  ],
  { error: 'must have provider file, systemd-credential or aws-kms' },
);

export type NamedKeyConfig = z.output<typeof namedKey>;

export const namedKeys = z
  .record(
    z
      .string()
      .regex(NAME, 'must be 1..64 letters, digits, _ or -')
      .refine((id) => id !== RESERVED, `must not be ${RESERVED}, the key that the server has by itself`),
    namedKey,
  )
  .default({})
  .superRefine((keys, context) => {
    const all = Object.values(keys).flatMap(({ aliases }) => aliases);
    const twice = all.find((alias, at) => all.indexOf(alias) !== at);
    if (twice !== undefined)
      context.addIssue({ code: 'custom', message: `must not give the alias ${twice} to two keys` });
  })
  .describe('Keys that streams may be encrypted with, by id (StartStreamEncryption)');

export function namedKeySetting(config: NamedKeyConfig): KeySetting {
  switch (config.provider) {
    case 'file':
      return { provider: 'file', path: resolve(config.keyFile) };
    case 'systemd-credential':
      return { provider: 'systemd-credential', name: config.credential };
    case 'aws-kms': {
      const { keyId, region, endpoint } = config;
      return { provider: 'aws-kms', keyId, region, endpoint };
    }
  }
}
