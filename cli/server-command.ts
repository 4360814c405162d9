// `tributary server`: starts the central program in this process.
import type { Command } from 'commander';
import { showProblems } from './config-problems.ts';
import { portNumber } from './port-number.ts';

interface ServerCommandFlags {
  readonly data?: string;
  readonly host?: string;
  readonly port?: number;
  readonly auth?: string;
  readonly tlsPort?: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly limits?: string;
  readonly config?: string;
  readonly checkConfig?: boolean;
  readonly json?: boolean;
}

export function serverCommand(program: Command): void {
  program
    .command('server')
    .description('Run the streaming service that gateways feed and AWS clients talk to')
    .option('--data <dir>', 'folder that holds everything the server keeps')
    .option('--host <address>', 'address to listen on (default 127.0.0.1)')
    .option('--port <number>', 'TCP port, 0 picks a free one (default 4567)', portNumber)
    .option('--auth <on|off>', 'off: check no signatures; on a loopback address only')
    .option('--tls-port <number>', 'second port, with TLS; self-signed unless --tls-cert is set', portNumber)
    .option('--tls-cert <file>', 'certificate and its chain, PEM')
    .option('--tls-key <file>', 'its private key, PEM')
    .option('--limits <aws|off>', 'of shards and calls (default aws)')
    .option('--config <file>', 'settings in YAML or JSON')
    .option('--check-config', 'list every problem of the settings and stop')
    .option('--json', 'with --check-config: one JSON document')
    .action(async (flags: ServerCommandFlags) => {
      const { checkServerConfig, loadServerConfig } = await import('../server/config.ts');
      if (flags.checkConfig === true) return showProblems(checkServerConfig(flags), flags.json === true);
      const { runServer } = await import('../server/program.ts');
      await runServer(loadServerConfig(flags));
    });
}
