#!/usr/bin/env node
// The `tributary` command: one subcommand per program and per thing to ask of one. Programs are imported when they run.
import { Command, CommanderError } from 'commander';
import { programVersion } from '../runtime/program-version.ts';
import { accessCommand } from './access-command.ts';
import { EXIT, usageError } from './cli-error.ts';
import { demoCommand } from './demo-command.ts';
import { enrolCodeCommand } from './enrol-code-command.ts';
import { fleetCommand } from './fleet-command.ts';
import { gatewayCommand } from './gateway-command.ts';
import { hashPasswordCommand } from './hash-password-command.ts';
import { identityCommand } from './identity-command.ts';
import { keysCommand } from './keys-command.ts';
import { logCommand } from './log-command.ts';
import { reportError } from './output.ts';
import { serverCommand } from './server-command.ts';
import { streamCommand } from './stream-command.ts';

async function main(argv: readonly string[]): Promise<void> {
  endWhenNobodyReads();
  const isJson = argv.includes('--json');
  const program = new Command('tributary')
    .description('IoT edge gateway with durable buffering, and the streaming service it feeds')
    .version(programVersion())
    .exitOverride()
    // Under --json the error is the document that endOf prints.
    .configureOutput(isJson ? { outputError: () => undefined } : {})
    .showHelpAfterError(isJson ? false : '(add --help for what there is)');
  serverCommand(program);
  gatewayCommand(program);
  enrolCodeCommand(program);
  fleetCommand(program);
  streamCommand(program);
  accessCommand(program);
  logCommand(program);
  keysCommand(program);
  identityCommand(program);
  hashPasswordCommand(program);
  demoCommand(program);
  try {
    await program.parseAsync([...argv]);
  } catch (error) {
    process.exitCode = endOf(error, isJson);
  }
}

/** Help and the version end as errors too, with code 0. */
function endOf(error: unknown, isJson: boolean): number {
  if (!(error instanceof CommanderError)) return reportError(error, isJson);
  if (error.exitCode === 0) return EXIT.ok;
  // Without --json commander has printed it already.
  return isJson ? reportError(usageError(error.message.replace(/^error: /, '')), true) : EXIT.usage;
}

/** `tributary … | head` is no failure. */
function endWhenNobodyReads(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    throw error;
  });
}

await main(process.argv);
