// `tributary keys`: the keys that seal what a server or a gateway keeps.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { KeySetting } from '../runtime/master-key.ts';
import { CliError, EXIT, usageError } from './cli-error.ts';
import { printDocument, printLine, printTable } from './output.ts';

interface RotateFlags {
  readonly keyFile?: string;
  readonly credential?: string;
  readonly kmsKey?: string;
  readonly kmsRegion?: string;
  readonly kmsEndpoint?: string;
  readonly json?: boolean;
}

export function keysCommand(program: Command): void {
  const keys = program.command('keys').description('The keys that seal a data folder');
  keys
    .command('list <dir>')
    .description('List the data keys of a data folder and the master keys that wrap them')
    .option('--json', 'print one JSON document')
    .action(async (dir: string, flags: { json?: boolean }) => {
      const { listKeys } = await import('../server/keys.ts');
      const found = (await listKeys(dir)) ?? notThere(dir);
      if (flags.json === true) return printDocument('tributary.keys/1', { keys: found });
      printTable(
        ['KEY', 'SEALS', 'CREATED', 'USES', 'FINGERPRINT', 'WRAPPED BY'],
        found.map((key) => [key.id, key.seals, key.createdAt, String(key.uses), key.fingerprint, key.master]),
      );
    });
  keys
    .command('rotate <dir>')
    .description(
      'Take a new master key and a new data key; no record is rewritten. The program must be stopped',
    )
    .option('--key-file <path>', 'move to this key file of 32 bytes')
    .option('--credential <name>', 'move to this systemd credential')
    .option('--kms-key <id>', 'move to this key of AWS KMS (a server only)')
    .option('--kms-region <region>', 'region of that key')
    .option('--kms-endpoint <url>', 'where KMS answers, if not at AWS')
    .option('--json', 'print one JSON document')
    .action(async (dir: string, flags: RotateFlags) => {
      const { rotateKeys } = await import('../server/keys.ts');
      const { master, rewrapped, dataKey } = (await rotateKeys(dir, targetOf(flags))) ?? notThere(dir);
      if (flags.json === true)
        return printDocument('tributary.keys-rotate/1', { master, rewrapped, dataKey });
      printLine(`${rewrapped} keys are wrapped anew by ${master}; back it up, apart from ${dir}`);
      if (dataKey !== null) printLine(`new records are sealed with ${dataKey}`);
    });
}

/** Null: a new key where the old one is. */
function targetOf(flags: RotateFlags): KeySetting | null {
  const { keyFile, credential, kmsKey, kmsRegion, kmsEndpoint } = flags;
  const targets: KeySetting[] = [];
  if (keyFile !== undefined) targets.push({ provider: 'file', path: resolve(keyFile) });
  if (credential !== undefined) targets.push({ provider: 'systemd-credential', name: credential });
  if (kmsKey !== undefined) {
    if (kmsRegion === undefined) throw usageError('--kms-key needs --kms-region');
    const endpoint = kmsEndpoint === undefined ? {} : { endpoint: kmsEndpoint };
    targets.push({ provider: 'aws-kms', keyId: kmsKey, region: kmsRegion, ...endpoint });
  }
  if (targets.length > 1) throw usageError('give one of --key-file, --credential and --kms-key');
  return targets[0] ?? null;
}

function notThere(dir: string): never {
  const message = `${dir} is no data folder: it has neither server.mdb nor gateway.mdb`;
  throw new CliError({ exit: EXIT.notFound, code: 'NOT_FOUND', message });
}
