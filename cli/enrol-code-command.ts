// `tributary enrol-code`: a code that lets one gateway in, once.
import type { Command } from 'commander';
import { usageError } from './cli-error.ts';
import type { EnrolCodeFlags } from './enrol-code.ts';

const TTL_DEFAULT_MINUTES = 15;
const TTL_MAX_MINUTES = 7 * 24 * 60;

export function enrolCodeCommand(program: Command): void {
  program
    .command('enrol-code')
    .description('Make a code that lets one gateway in, once; it is the last line of the output')
    .option('--name <name>', 'name of the gateway (default: what it calls itself)')
    .option('--stream <pattern...>', 'streams it may feed (default: telemetry telemetry.*)')
    .option('--ttl-minutes <number>', 'how long the code is good', minutes, TTL_DEFAULT_MINUTES)
    .option('--server <url>', 'server to ask')
    .option('--json', 'print one JSON document')
    .action(async (flags: EnrolCodeFlags) => (await import('./enrol-code.ts')).printEnrolCode(flags));
}

function minutes(text: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (value >= 1 && value <= TTL_MAX_MINUTES) return value;
  throw usageError(`--ttl-minutes must be 1..${TTL_MAX_MINUTES}, not ${text.slice(0, 40)}`);
}
