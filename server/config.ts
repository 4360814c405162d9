// What an operator may set of the server: defaults, bounds and meaning of every setting, and where each comes from.
import { z } from 'zod';
import { COMPRESSIONS, compressionProblem } from '../runtime/codecs.ts';
import { checkConfig } from '../runtime/config-check.ts';
import type { ExplainedProblem } from '../runtime/config-check.ts';
import { loadConfig } from '../runtime/config.ts';
import { serverEncryption } from '../runtime/encryption-config.ts';
import { namedKeys } from '../runtime/named-key-config.ts';
import { LOG_LEVELS } from '../runtime/log-writer.ts';
import { isLoopback } from '../runtime/loopback.ts';
import { callLimitSettings } from './kinesis/call-limits.ts';
import { LIMIT_PROFILES, shardLimitSettings } from './kinesis/shard-limits.ts';
import { ON_DAMAGE } from '../storage/salvage/store-recovery.ts';
import { PENDING_BYTES_MAX } from '../stream/limits.ts';

const httpSettings = z.strictObject({
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on; 0.0.0.0 or :: for every interface'),
  port: z.int().min(0).max(65_535).default(4567).describe('TCP port; 0 picks a free one'),
  drainMs: z
    .int()
    .min(0)
    .max(8_000)
    .default(3_000)
    .describe('How long requests under way may take after SIGTERM, milliseconds'),
});

const tlsSettings = z
  .strictObject({
    port: z.int().min(0).max(65_535).default(4568).describe('TCP port; 0 picks a free one'),
    certFile: z
      .string()
      .min(1)
      .optional()
      .describe('Certificate and its chain, PEM; read again when it changes'),
    keyFile: z.string().min(1).optional().describe('Its private key, PEM without passphrase'),
    selfSigned: z
      .boolean()
      .default(false)
      .describe(
        'Make a certificate once and keep it in the data folder; clients trust tls-certificate.pem there',
      ),
  })
  .superRefine(({ certFile, keyFile, selfSigned }, context) => {
    const files = [certFile, keyFile].filter((file) => file !== undefined).length;
    if (files === (selfSigned ? 0 : 2)) return;
    context.addIssue({
      code: 'custom',
      message: 'needs either certFile and keyFile, or selfSigned: true',
    });
  });

export type TlsConfig = Partial<z.output<typeof tlsSettings>>;

const limitSettings = z.strictObject({
  profile: z
    .enum(LIMIT_PROFILES)
    .default('aws')
    .describe('aws: the limits of Amazon Kinesis; off: none but those that are set'),
  shard: shardLimitSettings,
  calls: callLimitSettings,
  shardsMax: z.int().min(1).max(20_000).default(1_000).describe('Open shards of all streams together'),
  onDemandStreamsMax: z.int().min(0).max(10_000).default(50).describe('Streams in ON_DEMAND mode'),
  pendingBytesMax: z
    .int()
    .min(1024 * 1024)
    .max(1024 * 1024 * 1024)
    .default(PENDING_BYTES_MAX)
    .describe('Bytes of records that may wait for the disk before writers are throttled'),
  stateDelayMs: z
    .int()
    .min(0)
    .max(600_000)
    .default(0)
    .describe(
      'How long streams and consumers stay CREATING, UPDATING or DELETING, milliseconds; above 0 only to test programs against it',
    ),
  gatewaysMax: z.int().min(1).max(100_000).default(10_000).describe('Gateways that may be enrolled'),
});

const httpAndAuth = z.object({ auth: z.string(), http: z.object({ host: z.string() }) });

export const serverConfig = z
  .strictObject({
    dataFolder: z
      .string('must name the folder the server keeps its data in; set --data DIR')
      .min(1)
      .describe('Folder that holds everything the server keeps; made when it is missing'),
    http: httpSettings.prefault({}).describe('The plaintext listener'),
    tls: tlsSettings
      .optional()
      .describe('A second listener, with TLS, on the same host; absent: there is none'),
    auth: z
      .enum(['on', 'off'])
      .default('on')
      .describe('off: requests need no signature; for development, on a loopback address only'),
    accountId: z
      .string('must be text: put the twelve digits in quotes')
      .regex(/^\d{12}$/, 'must be twelve digits')
      .default('000000000000')
      .describe('Account id in ARNs'),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,32}$/, 'must be 1..32 small letters, digits or -')
      .default('us-east-1')
      .describe('Region in ARNs'),
    limits: limitSettings.prefault({}).describe('Upper bounds'),
    storage: z
      .strictObject({
        onDamage: z
          .enum(ON_DAMAGE)
          .default('salvage')
          .describe(
            'What to do when the store is damaged at the start. salvage: set it aside and go on with what is whole of it; refuse: do not start',
          ),
        compression: z
          .enum(COMPRESSIONS)
          .default('auto')
          .superRefine((compression, context) => {
            const message = compressionProblem(compression);
            if (message !== null) context.addIssue({ code: 'custom', message });
          })
          .describe(
            'How records that clients put are stored: auto (deflate), zstd (smaller; needs Node 22.15 to read again), none',
          ),
      })
      .prefault({})
      .describe('The log on disk'),
    encryption: serverEncryption.describe('Encryption of the records on disk'),
    keys: namedKeys,
    metrics: z
      .strictObject({
        tokenFile: z
          .string()
          .min(1)
          .optional()
          .describe('File with the bearer token that lets other hosts read /metrics'),
      })
      .prefault({})
      .describe('The Prometheus endpoint'),
    logLevel: z.enum(LOG_LEVELS).default('info').describe('Least important log lines to write'),
  })
  .refine((config) => config.auth !== 'off' || isLoopback(config.http.host), {
    path: ['auth'],
    error:
      'must be on while http.host is no loopback address: without signatures anybody could read and write',
    // Also beside other problems: all of them are listed at once.
    when: ({ value }) => httpAndAuth.safeParse(value).success,
  });

export type ServerConfig = z.output<typeof serverConfig>;

/** Environment variable → setting. */
const SERVER_ENVIRONMENT: Readonly<Record<string, string>> = {
  TRIBUTARY_SERVER_DATA: 'dataFolder',
  TRIBUTARY_SERVER_HOST: 'http.host',
  TRIBUTARY_SERVER_PORT: 'http.port',
  TRIBUTARY_SERVER_TLS_PORT: 'tls.port',
  TRIBUTARY_SERVER_TLS_CERT: 'tls.certFile',
  TRIBUTARY_SERVER_TLS_KEY: 'tls.keyFile',
  TRIBUTARY_SERVER_TLS_SELF_SIGNED: 'tls.selfSigned',
  TRIBUTARY_SERVER_REGION: 'region',
  TRIBUTARY_SERVER_LIMITS: 'limits.profile',
  TRIBUTARY_SERVER_LOG_LEVEL: 'logLevel',
};

export interface ServerFlags {
  readonly data?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly auth?: string | undefined;
  readonly tlsPort?: number | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly limits?: string | undefined;
  readonly config?: string | undefined;
}

/** Throws CONFIG_INVALID whose details hold every problem. */
export function loadServerConfig(flags: ServerFlags, env: NodeJS.ProcessEnv = process.env): ServerConfig {
  return loadConfig({
    schema: serverConfig,
    environment: SERVER_ENVIRONMENT,
    env,
    overrides: {
      dataFolder: flags.data,
      'http.host': flags.host,
      'http.port': flags.port,
      auth: flags.auth,
      'limits.profile': flags.limits,
      'tls.port': flags.tlsPort,
      'tls.certFile': flags.tlsCert,
      'tls.keyFile': flags.tlsKey,
      // A port alone: for development.
      'tls.selfSigned': isPortAlone(flags) ? true : undefined,
    },
    ...(flags.config === undefined ? {} : { path: flags.config }),
  });
}

function isPortAlone({ tlsPort, tlsCert, tlsKey, config }: ServerFlags): boolean {
  return tlsPort !== undefined && tlsCert === undefined && tlsKey === undefined && config === undefined;
}

/** Every problem of the settings; none: they are valid. */
export function checkServerConfig(
  flags: ServerFlags,
  env: NodeJS.ProcessEnv = process.env,
): ExplainedProblem[] {
  return checkConfig(serverConfig, () => loadServerConfig(flags, env), flags.config);
}
