// A TCP port on the command line.
import { usageError } from './cli-error.ts';

/** Throws CliError for anything but 0..65535. */
export function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  if (port >= 0 && port <= 65_535) return port;
  throw usageError(`a port is 0..65535, not ${text.slice(0, 40)}`);
}
