// Why the server cannot listen where it is told to, and what to do about it.
import { TributaryError } from '../../stream/errors.ts';

/** CONFIG_INVALID, whose cause is the system's error. */
export function bindProblem(cause: NodeJS.ErrnoException, host: string, port: number): TributaryError {
  const what = `cannot listen for HTTP on ${host} port ${port}`;
  return new TributaryError('CONFIG_INVALID', `${what}: ${reasonOf(cause)}`, { cause });
}

function reasonOf(cause: NodeJS.ErrnoException): string {
  const code = cause.code ?? cause.message;
  switch (code) {
    case 'EADDRINUSE':
      return 'the port is in use; stop the program that has it (another tributary server?) or set --port to another one, 0 for any free one';
    case 'EACCES':
      return 'it is not permitted; choose a port above 1023 or give the program CAP_NET_BIND_SERVICE';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address; set --host to one it has, 0.0.0.0 or :: for all';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the name is unknown; set --host to an address of this machine';
    default:
      return code;
  }
}
