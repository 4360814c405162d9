// Prints and changes the fleet of a server.
import { z } from 'zod';
import { duration, printDocument, printLine, printTable, printable } from './output.ts';
import { answerOf, openServerApi } from './server-api.ts';
import type { ServerFlag } from './server-api.ts';

export interface FleetFlags extends ServerFlag {
  readonly json?: boolean;
}

const gateway = z.looseObject({
  id: z.string(),
  name: z.string(),
  state: z.string(),
  lastSeenAt: z.string().nullable(),
  backlogRecords: z.number(),
  backlogBytes: z.number(),
  oldestUnsentMs: z.number().nullable(),
  version: z.string(),
  events: z.array(
    z.looseObject({ at: z.string(), kind: z.string(), message: z.string(), count: z.number() }),
  ),
});
type Gateway = z.output<typeof gateway>;

const answer = z.object({ gateways: z.array(gateway) });

export async function printGateways(flags: FleetFlags): Promise<void> {
  const api = openServerApi(flags);
  const { gateways } = answerOf(answer, await api.fleet('GET', '/api/v1/gateways'), api);
  if (flags.json === true) return printDocument('tributary.fleet-ls/1', { gateways });
  printTable(
    ['NAME', 'ID', 'STATE', 'LAST SEEN', 'BACKLOG', 'BYTES', 'OLDEST', 'VERSION'],
    gateways.map(rowOf),
  );
  for (const { name, events } of gateways) {
    for (const { at, kind, message, count } of events)
      printLine(printable(`! ${name}: ${at} ${kind} (${count}x) ${message}`));
  }
}

export async function removeGateway(id: string, flags: FleetFlags): Promise<void> {
  await openServerApi(flags).fleet('DELETE', `/api/v1/gateways/${encodeURIComponent(id)}`);
  if (flags.json === true) printDocument('tributary.fleet-rm/1', { id });
  else printLine(`removed ${printable(id)}`);
}

function rowOf(one: Gateway): string[] {
  return [
    one.name,
    one.id,
    one.state,
    one.lastSeenAt ?? 'never',
    String(one.backlogRecords),
    String(one.backlogBytes),
    one.oldestUnsentMs === null ? '-' : duration(one.oldestUnsentMs),
    one.version === '' ? '-' : one.version,
  ];
}
