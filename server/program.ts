// The server as a process: what `tributary server` runs.
import { openLog } from '../runtime/log-writer.ts';
import { runProgram } from '../runtime/program.ts';
import type { ServerConfig } from './config.ts';
import { openServer } from './server.ts';

/** Runs until a signal or a failure ends the process. Throws what keeps it from starting. */
export function runServer(config: ServerConfig, env: NodeJS.ProcessEnv = process.env): Promise<void> {
  // What the server keeps is nobody else's to read, whatever the folder's mode.
  process.umask(0o077);
  const log = openLog('server', { level: config.logLevel });
  return runProgram('server', log, async (end) => {
    if (config.auth === 'off') log.warn('signatures are not checked; for development only');
    const server = await openServer(config, {
      env,
      log,
      onStorageFailed: (error) => end.storageFailed(error),
    });
    const { httpUrl, httpsUrl } = server;
    return {
      ready: { httpUrl, ...(httpsUrl === undefined ? {} : { httpsUrl }) },
      close: () => server.close(),
    };
  });
}
