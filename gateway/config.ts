// What an operator may set of the gateway: defaults, bounds and meaning of every setting, and where each comes from.
import { z } from 'zod';
import { COMPRESSIONS, compressionProblem } from '../runtime/codecs.ts';
import { checkConfig } from '../runtime/config-check.ts';
import type { ExplainedProblem } from '../runtime/config-check.ts';
import { loadConfig } from '../runtime/config.ts';
import { edgeEncryption } from '../runtime/encryption-config.ts';
import { LOG_LEVELS } from '../runtime/log-writer.ts';
import { isLoopback } from '../runtime/loopback.ts';
import { ON_DAMAGE } from '../storage/salvage/store-recovery.ts';
import { enrolmentCodeProblem } from '../sync/enrolment-code.ts';
import { FULL_POLICIES } from './log-budget.ts';
import { routesSchema } from './routes.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
/** Card makers count by the thousand. */
const GB = 1_000_000_000;
const HOUR_MS = 3_600_000;

const port = (preset: number) => z.int().min(0).max(65_535).default(preset);

const compressionSetting = z
  .enum(COMPRESSIONS)
  .default('auto')
  .superRefine((compression, context) => {
    const message = compressionProblem(compression);
    if (message !== null) context.addIssue({ code: 'custom', message });
  });

const mqttSettings = z.strictObject({
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address MQTT clients connect to; 0.0.0.0 or :: for every interface'),
  port: port(1883).describe('TCP port of MQTT; 0 picks a free one'),
  allowAnonymous: z
    .boolean()
    .default(false)
    .describe('Let clients of other hosts in without a user; on a loopback address they always may'),
  users: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(256).describe('User name of MQTT clients'),
        passwordHash: z
          .string()
          .max(512)
          .startsWith('scrypt$', 'must be the output of: tributary hash-password')
          .describe('Output of `tributary hash-password`'),
      }),
    )
    .max(10_000)
    .default([])
    .describe('Who may connect; with users nobody else may, unless allowAnonymous is set'),
  packetBytesMax: z
    .int()
    .min(1024)
    .max(10 * MIB)
    .default(MIB)
    .describe('Largest MQTT packet that is taken, bytes'),
  clientsMax: z.int().min(1).max(100_000).default(1_000).describe('Clients connected at the same time'),
});

const serialSettings = z.strictObject({
  path: z
    .string()
    .min(1)
    .max(4096)
    .describe('Device of the port; /dev/serial/by-id/… stays the same after a reboot'),
  baudRate: z.int().min(50).max(4_000_000).default(115_200).describe('Bits a second'),
  profile: z.string().min(1).default('raw').describe('How a line becomes records: raw, json'),
});

const gatewayConfig = z
  .strictObject({
    dataFolder: z
      .string('must name the folder the gateway keeps its log in; set --data DIR')
      .min(1)
      .describe('Folder that holds everything the gateway keeps; made when it is missing'),
    name: z
      .string()
      .min(1)
      .max(128)
      .optional()
      .describe('Name shown for this gateway; default: the host name'),
    server: z
      .strictObject({
        url: z
          .url({ protocol: /^https?$/, error: 'must be an http or https URL, e.g. http://server:4567' })
          .describe(
            'The central server; without it the gateway only buffers. Once enrolled, the server it was enrolled at is used',
          ),
        enrolmentCode: z
          .string()
          .trim()
          .superRefine((text, context) => {
            const message = enrolmentCodeProblem(text);
            if (message !== null) context.addIssue({ code: 'custom', message });
          })
          .optional()
          .describe('Code of `tributary enrol-code`; ignored once enrolled'),
      })
      .optional()
      .describe('Where the records go'),
    mqtt: mqttSettings.prefault({}).describe('The MQTT broker'),
    serial: z.array(serialSettings).max(64).default([]).describe('Serial ports that send lines'),
    routes: routesSchema.describe(
      'Which source feeds which stream; the first match wins, the default is telemetry',
    ),
    log: z
      .strictObject({
        capBytes: z
          .int()
          .min(4 * MIB)
          .max(1024 * GIB)
          .default(GIB)
          .describe(
            'Size the log on disk may have; beyond it what the server has goes first, then see whenFull',
          ),
        whenFull: z
          .enum(FULL_POLICIES)
          .default('drop-oldest-of-lowest-class')
          .describe(
            'What happens when the log is full of records the server does not have: the oldest bulk records go, then normal, then alarm; the oldest go whatever their class; or new ones are refused',
          ),
        retentionMs: z
          .int()
          .min(60_000)
          .max(10 * 365 * 24 * HOUR_MS)
          .nullable()
          .default(null)
          .describe('Records older than this go, sent or not, milliseconds; null: age is no reason'),
        ageWhilePoweredOff: z
          .boolean()
          .default(false)
          .describe(
            'Whether records also get older while the gateway does not run; needs a clock that is right',
          ),
        acknowledgedRetentionMs: z
          .int()
          .min(0)
          .max(30 * 24 * HOUR_MS)
          .default(HOUR_MS)
          .describe(
            'How long records are kept after the server has them, in case it loses them, milliseconds',
          ),
        writtenBytesPerDay: z
          .int()
          .min(0)
          .default(4 * GB)
          .describe(
            'What the log may write to the disk in a day, bytes, with a day saved up; beyond it normal records wait up to 1 s and bulk up to 30 s for company in a commit, alarms never. 0: no bound',
          ),
        compression: compressionSetting.describe(
          'How new blocks are stored and sent: auto (deflate), zstd (smaller; needs Node 22.15 to read again), none',
        ),
        onDamage: z
          .enum(ON_DAMAGE)
          .default('salvage')
          .describe(
            'What to do when the log is damaged at the start. salvage: set it aside and go on with what is whole of it; refuse: do not start',
          ),
      })
      .prefault({})
      .describe('The durable log'),
    clock: z
      .enum(['auto', 'system'])
      .default('auto')
      .describe(
        'Whether to trust the clock of this machine: auto when systemd-timesyncd has set it; system always, for chrony, PTP or a clock chip',
      ),
    encryption: edgeEncryption.describe('Encryption of the records on disk'),
    status: z
      .strictObject({
        host: z
          .string()
          .default('127.0.0.1')
          .refine(isLoopback, 'must be a loopback address: the status page asks for no password')
          .describe('Loopback address of the status page'),
        port: port(4580).describe('TCP port of the status page; 0 picks a free one'),
      })
      .prefault({})
      .describe('The read-only status page'),
    logLevel: z.enum(LOG_LEVELS).default('info').describe('Least important log lines to write'),
  })
  .superRefine((config, context) => {
    const paths = config.serial.map((port_) => port_.path);
    for (const [index, path] of paths.entries()) {
      if (paths.indexOf(path) === index) continue;
      context.addIssue({
        code: 'custom',
        path: ['serial', index, 'path'],
        message: `${path} is listed twice; one port has one reader`,
      });
    }
  });

export type GatewayConfig = z.output<typeof gatewayConfig>;

/** Environment variable → setting. */
const GATEWAY_ENVIRONMENT: Readonly<Record<string, string>> = {
  TRIBUTARY_GATEWAY_DATA: 'dataFolder',
  TRIBUTARY_GATEWAY_SERVER: 'server.url',
  TRIBUTARY_GATEWAY_ENROLMENT_CODE: 'server.enrolmentCode',
  TRIBUTARY_GATEWAY_LOG_LEVEL: 'logLevel',
};

export interface GatewayFlags {
  readonly config?: string | undefined;
  readonly data?: string | undefined;
  readonly server?: string | undefined;
  readonly enrol?: string | undefined;
  readonly name?: string | undefined;
  readonly mqttHost?: string | undefined;
  readonly mqttPort?: number | undefined;
  readonly statusPort?: number | undefined;
  readonly serial?: readonly { path: string; baudRate: number; profile: string }[] | undefined;
}

/** Throws CONFIG_INVALID whose details hold every problem. */
export function loadGatewayConfig(flags: GatewayFlags, env: NodeJS.ProcessEnv = process.env): GatewayConfig {
  return loadConfig({
    schema: gatewayConfig,
    environment: GATEWAY_ENVIRONMENT,
    env,
    overrides: {
      dataFolder: flags.data,
      name: flags.name,
      'server.url': flags.server,
      'server.enrolmentCode': flags.enrol,
      'mqtt.host': flags.mqttHost,
      'mqtt.port': flags.mqttPort,
      'status.port': flags.statusPort,
      serial: flags.serial?.length === 0 ? undefined : flags.serial,
    },
    ...(flags.config === undefined ? {} : { path: flags.config }),
  });
}

/** Every problem of a configuration, with what the setting means; none: it is valid. */
export function checkGatewayConfig(
  flags: GatewayFlags,
  env: NodeJS.ProcessEnv = process.env,
): ExplainedProblem[] {
  return checkConfig(gatewayConfig, () => loadGatewayConfig(flags, env), flags.config);
}
