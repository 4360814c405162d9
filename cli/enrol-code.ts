// Asks a server for an enrolment code and prints it.
import { z } from 'zod';
import { printDocument, printLine, printNotice } from './output.ts';
import { answerOf, openServerApi } from './server-api.ts';
import type { ServerFlag } from './server-api.ts';

export interface EnrolCodeFlags extends ServerFlag {
  readonly name?: string;
  readonly stream?: readonly string[];
  readonly ttlMinutes: number;
  readonly json?: boolean;
}

const answer = z.object({ code: z.string(), expiresAt: z.string() });

/** The code alone is the last line of stdout. */
export async function printEnrolCode(flags: EnrolCodeFlags): Promise<void> {
  const api = openServerApi(flags);
  const request = {
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.stream === undefined ? {} : { allowedStreams: flags.stream }),
    ttlMs: flags.ttlMinutes * 60_000,
  };
  const { code, expiresAt } = answerOf(
    answer,
    await api.fleet('POST', '/api/v1/enrolment-codes', request),
    api,
  );
  if (flags.json === true) return printDocument('tributary.enrol-code/1', { code, expiresAt });
  printNotice(`good once, until ${expiresAt}; on the gateway:`);
  printNotice(`  tributary gateway --server ${api.url} --enrol ${code}`);
  printLine(code);
}
