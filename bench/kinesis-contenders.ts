// Servers of the Kinesis API: ours with verified signatures and durable acknowledgements, and what others run instead.
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import type { Contender } from './contender.ts';
import { KEYS } from './kinesis-client.ts';

const MAIN = join(import.meta.dirname, '../program/main.js');
const PEERS = join(import.meta.dirname, '../../node_modules/.cache/bench/node_modules');
/** Above the 1,000 that accounts have. */
const SHARDS_MAX = 2_000;

export const tributary: Contender = {
  name: 'tributary',
  durability: 'on the disk (fdatasync)',
  start: (folder, port) => {
    const config = join(folder, 'server.yaml');
    writeFileSync(config, `limits: { shardsMax: ${SHARDS_MAX} }\n`);
    return {
      command: process.execPath,
      args: [MAIN, 'server', '--config', config, '--data', join(folder, 'data'), '--port', String(port)],
      env: {
        TRIBUTARY_ACCESS_KEY_ID: KEYS.accessKeyId,
        TRIBUTARY_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
        TRIBUTARY_SERVER_LOG_LEVEL: 'warn',
        // Peers have none.
        TRIBUTARY_SERVER_LIMITS: 'off',
      },
    };
  },
};

export const kinesaliteLevelDb = kinesalite('LevelDB', 'written, not flushed', (folder) => [
  '--path',
  join(folder, 'db'),
]);

export const kinesaliteMemory = kinesalite('memory', 'in memory', () => []);

export const kinesisLocal: Contender = {
  name: 'kinesis-local 0.6.2',
  durability: 'in memory',
  start: (_folder, port) => ({
    command: process.execPath,
    args: ['main.js'],
    // It reads its certificate from where it is started.
    cwd: join(PEERS, 'kinesis-local'),
    env: {
      KINESIS_MOCK_PLAIN_PORT: String(port),
      KINESIS_MOCK_TLS_PORT: String(port + 1),
      LOG_LEVEL: 'ERROR',
    },
  }),
};

function kinesalite(store: string, durability: string, options: (folder: string) => string[]): Contender {
  return {
    name: `kinesalite 3.3.3 (${store})`,
    durability,
    start: (folder, port) => ({
      command: process.execPath,
      args: [
        join(PEERS, 'kinesalite/cli.js'),
        '--port',
        String(port),
        '--shardLimit',
        '100',
        ...options(folder),
      ],
    }),
  };
}
