// What aedes tells about its connections, turned into counters, log lines and calls on our side of a connection.
import type { Log } from '../../stream/ports.ts';
import type { Client } from 'aedes';
import type { AedesClient } from './aedes-inside.ts';
import type { Connection } from './connection.ts';
import type { Hub } from './hub.ts';
import { reasonOf } from './refusals.ts';
import type { Refusals } from './refusals.ts';

export interface HubEventParts {
  readonly refused: Refusals;
  readonly log: Log;
  readonly connectionOf: (client: Client) => Connection | undefined;
}

/** Ends of a connection that are nobody's fault. */
const ORDINARY_ENDS = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_DESTROYED', 'ERR_STREAM_WRITE_AFTER_END']);
/** Texts of aedes' own errors. */
const AEDES_REASONS = new Map([
  ['keep alive timeout', 'keepalive'],
  ['connect did not arrive in time', 'connect_timeout'],
  ['drain timeout', 'drain_timeout'],
  ['unacceptable protocol version', 'protocol_version'],
]);
const CLOSED_TEXT = 'connection closed';

export function watchHub(hub: Hub, { refused, log, connectionOf }: HubEventParts): void {
  const ended = (client: Client, error: Error): void => {
    log.debug('connection failed', { clientId: client.id, error });
    if (refused.hasCounted(error)) return;
    const reason = reasonOfEnd(error);
    if (reason !== null) refused.addError(error, reason, { clientId: client.id });
  };
  hub.on('clientError', ended);
  hub.on('connectionError', ended);
  hub.on('connackSent', ({ returnCode }, client) => {
    if (returnCode === 0) connectionOf(client)?.ready();
  });
  hub.on('unsubscribe', (filters, client: AedesClient | Client) => {
    for (const filter of filters) connectionOf(client)?.filters.revoke(filter);
  });
  // Without a listener an EventEmitter's error ends the process. Nothing of ours makes aedes emit one.
  (hub as NodeJS.EventEmitter).on('error', (error: Error) => log.error('broker failed', { error }));
}

/** Null when there is nothing to count. */
function reasonOfEnd(error: Error): string | null {
  const ours = reasonOf(error);
  if (ours !== 'internal') return ours;
  const code = 'code' in error ? String(error.code) : '';
  if (ORDINARY_ENDS.has(code) || error.message === CLOSED_TEXT) return null;
  return AEDES_REASONS.get(error.message) ?? 'malformed';
}
