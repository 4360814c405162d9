// `tributary demo`: everything at once on this machine, with made-up sensors.
import type { Command } from 'commander';

export function demoCommand(program: Command): void {
  program
    .command('demo')
    .description('Run a server and three gateways with simulated sensors; Ctrl-C cleans up')
    .option('--seconds <number>', 'stop by itself after so many seconds', Number)
    .action(async (flags: { seconds?: number }) => (await import('./demo/demo.ts')).runDemo(flags));
}
