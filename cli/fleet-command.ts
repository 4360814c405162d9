// `tributary fleet`: the gateways of a server.
import type { Command } from 'commander';
import type { FleetFlags } from './fleet.ts';

export function fleetCommand(program: Command): void {
  const fleet = program.command('fleet').description('The gateways of a server');
  fleet
    .command('ls')
    .description('List the gateways with their backlog and what happened to them')
    .option('--server <url>', 'server to ask')
    .option('--json', 'print one JSON document')
    .action(async (flags: FleetFlags) => (await import('./fleet.ts')).printGateways(flags));
  fleet
    .command('rm <id>')
    .description('Remove a gateway: its session ends, and it must be enrolled anew')
    .requiredOption('--yes', 'really: its enrolment cannot be had back')
    .option('--server <url>', 'server to ask')
    .option('--json', 'print one JSON document')
    .action(async (id: string, flags: FleetFlags) => (await import('./fleet.ts')).removeGateway(id, flags));
}
