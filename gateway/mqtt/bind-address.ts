// Where the broker may listen: anonymous clients on loopback only, and what to do when an address cannot be bound.
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import type { Server } from 'node:net';
import { TributaryError } from '../../stream/errors.ts';
import type { MqttOptions } from './options.ts';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

/** Whether clients without a name are let in. Throws CONFIG_INVALID when nobody has decided that for this address. */
export async function isAnonymousAllowed(options: MqttOptions): Promise<boolean> {
  if (options.allowAnonymous === true) return true;
  if ((options.users ?? []).length > 0) return false;
  if (await isLoopback(options.host)) return true;
  throw new TributaryError(
    'CONFIG_INVALID',
    `MQTT on ${options.host} without users would let anyone on the network publish; add mqtt.users, bind mqtt.host to 127.0.0.1, or set mqtt.allowAnonymous: true`,
  );
}

async function isLoopback(host: string): Promise<boolean> {
  const addresses = isIP(host) === 0 ? await resolve(host) : [host];
  return addresses.every((address) => LOOPBACK.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'));
}

async function resolve(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (cause) {
    throw new TributaryError('CONFIG_INVALID', `the MQTT address ${host} is unknown; set mqtt.host`, {
      cause,
    });
  }
}

/** Resolves with the port that is bound. */
export async function listen(server: Server, { host, port }: MqttOptions): Promise<number> {
  try {
    await new Promise<void>((done, fail) => {
      server.once('error', fail);
      server.listen({ host, port }, () => {
        server.off('error', fail);
        done();
      });
    });
  } catch (cause) {
    throw new TributaryError('CONFIG_INVALID', bindProblem(cause, host, port), { cause });
  }
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

function bindProblem(cause: unknown, host: string, port: number): string {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
  const what = `cannot listen for MQTT on ${host} port ${port}`;
  switch (code) {
    case 'EADDRINUSE':
      return `${what}: the port is in use; stop the other broker (often mosquitto) or set mqtt.port to another one, 0 for any free one`;
    case 'EACCES':
      return `${what}: it is not permitted; choose a port above 1023 or give the program CAP_NET_BIND_SERVICE`;
    case 'EADDRNOTAVAIL':
      return `${what}: this machine has no such address; set mqtt.host to one it has`;
    default:
      return `${what}: ${code}`;
  }
}
