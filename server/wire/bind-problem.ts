// Why the server cannot listen where it is told to, and what to do about it.
import { TributaryError } from '../../stream/errors.ts';

interface Place {
  readonly host: string;
  readonly port: number;
  /** Absent: plaintext. */
  readonly tls?: object;
}

/** CONFIG_INVALID, whose cause is the system's error. */
export function bindProblem(cause: NodeJS.ErrnoException, { host, port, tls }: Place): TributaryError {
  const what = `cannot listen for ${tls === undefined ? 'HTTP' : 'HTTPS'} on ${host} port ${port}`;
  const setting = tls === undefined ? '--port' : 'tls.port';
  return new TributaryError('CONFIG_INVALID', `${what}: ${reasonOf(cause, setting)}`, { cause });
}

function reasonOf(cause: NodeJS.ErrnoException, setting: string): string {
  const code = cause.code ?? cause.message;
  switch (code) {
    case 'EADDRINUSE':
      return `the port is in use; stop the program that has it (another tributary server?) or set ${setting} to another one, 0 for any free one`;
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
