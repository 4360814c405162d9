// `tributary identity`: who a gateway is.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { CliError, EXIT } from './cli-error.ts';
import { printDocument, printLine } from './output.ts';

export function identityCommand(program: Command): void {
  const identity = program.command('identity').description('Who a gateway is');
  identity
    .command('reset <dir>')
    .description('Make a copied data folder a gateway of its own; its unsent records stay')
    .requiredOption('--yes', 'really: the folder must be enrolled with a new code afterwards')
    .option('--json', 'print one JSON document')
    .action(async (dir: string, flags: { json?: boolean }) => {
      if (!existsSync(join(dir, 'gateway.mdb'))) throw noGateway(dir);
      const { resetIdentity } = await import('../gateway/identity-reset.ts');
      const { former, records } = await resetIdentity(dir);
      if (flags.json === true) return printDocument('tributary.identity-reset/1', { former, records });
      printLine(
        `${dir} is no longer ${former ?? 'enrolled'}; ${records} records wait for its new enrolment:`,
      );
      printLine(`  tributary gateway --data ${dir} --server URL --enrol CODE`);
    });
}

function noGateway(dir: string): CliError {
  const message = `${dir} is not the data folder of a gateway: it has no gateway.mdb`;
  return new CliError({ exit: EXIT.notFound, code: 'NOT_FOUND', message });
}
