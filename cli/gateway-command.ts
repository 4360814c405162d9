// `tributary gateway`: starts the edge program in this process.
import type { Command } from 'commander';
import { showProblems } from './config-problems.ts';
import { portNumber } from './port-number.ts';

interface GatewayCommandFlags {
  readonly config?: string;
  readonly data?: string;
  readonly server?: string;
  readonly enrol?: string;
  readonly name?: string;
  readonly mqttHost?: string;
  readonly mqttPort?: number;
  readonly statusPort?: number;
  readonly serial: readonly string[];
  readonly checkConfig?: boolean;
  readonly json?: boolean;
}

export function gatewayCommand(program: Command): void {
  program
    .command('gateway')
    .description('Run the gateway: take telemetry in, keep it safe, forward it')
    .option('--config <file>', 'settings in YAML or JSON; flags win over it')
    .option('--data <dir>', 'folder that holds everything the gateway keeps')
    .option('--server <url>', 'central server; without one the gateway only buffers')
    .option('--enrol <code>', 'code of `tributary enrol-code`; ignored once enrolled')
    .option('--name <text>', 'name shown for this gateway (default: the host name)')
    .option('--mqtt-host <address>', 'address MQTT clients connect to (default 127.0.0.1)')
    .option('--mqtt-port <number>', 'TCP port of MQTT, 0 picks a free one (default 1883)', portNumber)
    .option(
      '--status-port <number>',
      'TCP port of the status page, 0 picks a free one (default 4580)',
      portNumber,
    )
    .option('--serial <path:baud:profile>', 'serial port that sends lines; may be given again', append, [])
    .option('--check-config', 'list every problem of the settings and stop')
    .option('--json', 'with --check-config: one JSON document')
    .action(async (flags: GatewayCommandFlags) => {
      const [config, { runGateway }, { parseSerialFlag }] = await Promise.all([
        import('../gateway/config.ts'),
        import('../gateway/program.ts'),
        import('../gateway/serial/serial-options.ts'),
      ]);
      const settings = { ...flags, serial: flags.serial.map(parseSerialFlag) };
      if (flags.checkConfig === true)
        return showProblems(config.checkGatewayConfig(settings), flags.json === true);
      await runGateway(config.loadGatewayConfig(settings));
    });
}

function append(text: string, before: readonly string[]): string[] {
  return [...before, text];
}
