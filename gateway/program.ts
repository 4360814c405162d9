// The gateway as a process: what `tributary gateway` runs.
import { openLog } from '../runtime/log-writer.ts';
import { EXIT_REFUSED, runProgram } from '../runtime/program.ts';
import type { GatewayConfig } from './config.ts';
import { openGateway } from './gateway.ts';

/** Runs until a signal or a failure ends the process. Throws what keeps it from starting. */
export function runGateway(config: GatewayConfig): Promise<void> {
  // What the gateway keeps is nobody else's to read, whatever the folder's mode.
  process.umask(0o077);
  const log = openLog('gateway', { level: config.logLevel });
  return runProgram('gateway', log, async (end) => {
    const gateway = await openGateway(config, {
      log,
      onStorageFailed: (error) => end.storageFailed(error),
      onRefused: (error) => {
        log.error('not enrolled', { code: error.code, message: error.message });
        end.stop(EXIT_REFUSED, error.message);
      },
    });
    const { mqttPort, statusUrl } = gateway;
    return { ready: { mqttPort, statusUrl }, close: () => gateway.close() };
  });
}
