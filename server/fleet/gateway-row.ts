// What the server remembers of a gateway. The row is what sessions are decided by and changes by expectation only;
// the notes may be lost at a crash and are written lazily, under a key of their own so that they never undo a row.
import { z } from 'zod';
import type { GatewayEvent } from '../../sync/ports.ts';
import type { Sealer } from '../../runtime/key-provider.ts';

export const GATEWAY_PREFIX = 'gateway/';
export const NOTES_PREFIX = 'gateway-notes/';

const row = z.object({
  id: z.string(),
  name: z.string(),
  /** SPKI, DER, base64. */
  publicKey: z.string(),
  /** What the gateway presents next. */
  token: z.string(),
  /** What it presented last, good until it has confirmed the token; null: only `token` is good. */
  previousToken: z.string().nullable(),
  allowedStreams: z.array(z.string()),
  createdAtMs: z.number(),
  programVersion: z.string(),
  /** Sessions begun. */
  connectionEpoch: z.int(),
});
export type GatewayRow = Readonly<z.output<typeof row>>;

const EVENT_KINDS = [
  'cloned',
  'restored',
  'forked',
  'gap',
  'rewound',
  'refused',
] as const satisfies GatewayEvent['kind'][];

const notes = z.object({
  events: z.array(
    z.object({ kind: z.enum(EVENT_KINDS), message: z.string(), atMs: z.number(), count: z.int() }),
  ),
  /** The session whose token the gateway has made durable. */
  confirmedEpoch: z.int(),
  lastSeenAtMs: z.number().nullable(),
  lastBatchAtMs: z.number().nullable(),
  evictedRecords: z.number(),
});
export type GatewayNotes = Readonly<z.output<typeof notes>>;
export type KeptEvent = GatewayNotes['events'][number];

export const NO_NOTES: GatewayNotes = {
  events: [],
  confirmedEpoch: 0,
  lastSeenAtMs: null,
  lastBatchAtMs: null,
  evictedRecords: 0,
};

/** Sealed: with the tokens nobody who reads the store can pass for a gateway that was restored. */
export function sealRow(gateway: GatewayRow, sealer: Sealer): Uint8Array {
  return sealer.seal(Buffer.from(JSON.stringify(gateway)), GATEWAY_PREFIX + gateway.id);
}

export function openRow(key: string, value: Uint8Array, sealer: Sealer): GatewayRow {
  return row.parse(JSON.parse(Buffer.from(sealer.open(value, key)).toString('utf8')));
}

export function encodeNotes(kept: GatewayNotes): Uint8Array {
  return Buffer.from(JSON.stringify(kept));
}

export function decodeNotes(value: Uint8Array): GatewayNotes {
  return notes.parse(JSON.parse(Buffer.from(value).toString('utf8')));
}
