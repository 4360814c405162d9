// The wire contract between a gateway and its server: JSON text frames for control, binary frames for blocks,
// over one WebSocket. docs/SYNC.md tells the exchange; both halves parse with these schemas and nothing else.
import { z } from 'zod';
import { RECORD_CLASSES } from '../stream/record.ts';

export const SYNC_VERSION = 1;
export const SYNC_PATH = '/sync/v1';
export const ENROL_PATH = '/sync/v1/enrol';

/** A control frame; a lane's history is the largest thing in one. */
export const CONTROL_BYTES_MAX = 512 * 1024;
/** Lanes of one session. */
export const LANES_MAX = 4_096;
/** Bytes of blocks a gateway may have under way, unless the welcome says less. */
export const CREDIT_BYTES = 4 * 1024 * 1024;
export const PING_INTERVAL_MS = 10_000;
/** Ten years: nothing is said to have waited longer. */
const AGE_MS_MAX = 10 * 365 * 24 * 3_600_000;
/** A peer that was silent for this long is gone. */
export const SILENCE_MS = 30_000;

const ordinal = z
  .string()
  .regex(/^(0|[1-9]\d{0,18})$/)
  .transform(BigInt);
const base64 = (bytesMax: number) => z.base64().max(Math.ceil(bytesMax / 3) * 4);
const laneIndex = z
  .int()
  .min(0)
  .max(LANES_MAX - 1);
const runs = z.array(z.strictObject({ run: z.hex().length(16), first: ordinal })).max(4_096);
const gatewayId = z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/);
const streamName = z.string().regex(/^[a-zA-Z0-9_.-]{1,128}$/);
/** No larger than 2^53 - 1. */
const count = z.int().min(0);
/** Cut, not refused: records stamped before the clock of a gateway was set look as old as the epoch. */
const age = z
  .number()
  .min(0)
  .transform((ms) => Math.min(ms, AGE_MS_MAX));

/** Gateway → server. */
export const gatewayMessage = z.discriminatedUnion('type', [
  /** The first frame of a session. `nonce` is what the server signs. */
  z.object({ type: z.literal('open'), version: z.int(), gateway: gatewayId, nonce: base64(32) }),
  /** `signature` over the server's nonce proves the gateway; `token` tells copies of its disk apart. */
  z.object({
    type: z.literal('hello'),
    signature: base64(64),
    token: z.string().max(128),
    programVersion: z.string().max(64),
  }),
  /** The token of the welcome is durable: the server may forget the one before. */
  z.object({ type: z.literal('confirm') }),
  /** Opens a lane, or opens it again after its start moved. Records up to `from` cannot be sent any more. */
  z.object({
    type: z.literal('lane'),
    lane: laneIndex,
    stream: streamName,
    class: z.enum(RECORD_CLASSES),
    incarnation: z.uuid(),
    /** Last ordinal of the incarnation before this one; 0 for the first. */
    base: ordinal,
    from: ordinal,
  }),
  z.object({
    type: z.literal('status'),
    backlogRecords: count,
    backlogBytes: count,
    /** Age of the oldest record that the server has not acknowledged; null: none. */
    oldestUnsentMs: age.nullable(),
    /** Records evicted before they were sent, since the log was made. */
    evictedRecords: count,
  }),
]);
export type GatewayMessage = z.output<typeof gatewayMessage>;

/** Server → gateway. */
export const serverMessage = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('challenge'),
    version: z.int(),
    nonce: base64(32),
    /** Ed25519, DER (SPKI). */
    publicKey: base64(64),
    signature: base64(64),
  }),
  z.object({
    type: z.literal('welcome'),
    token: z.string().max(128),
    /** The server's clock. */
    timeMs: z.number(),
    creditBytes: z.int().min(16 * 1024),
    configVersion: z.int().min(0),
    /** Codecs of blocks that the server reads; absent: none, every block must come as is. */
    codecs: z.array(z.int().min(1).max(255)).max(16).default([]),
  }),
  /** Where the server stands in a lane; `last` 0 and no runs: it knows nothing of it. */
  z.object({
    type: z.literal('laneState'),
    lane: laneIndex,
    incarnation: z.uuid(),
    last: ordinal,
    runs,
    /** CRC-32 of the last record's key and data; null: unknown. */
    fingerprint: z.int().min(0).max(0xffff_ffff).nullable(),
  }),
  /** Everything of the lane up to `ordinal` is durable. */
  z.object({ type: z.literal('ack'), lane: laneIndex, ordinal }),
  /** Nothing more of this lane is taken in this session. */
  z.object({ type: z.literal('laneRefused'), lane: laneIndex, code: z.string(), message: z.string() }),
  /** The session ends. */
  z.object({ type: z.literal('refused'), code: z.string(), message: z.string() }),
]);
export type ServerMessage = z.output<typeof serverMessage>;

/** POST to ENROL_PATH. */
export const enrolRequest = z.object({
  code: z.string().max(128),
  /** Ed25519, DER (SPKI). */
  publicKey: base64(64),
  name: z.string().max(128),
  /** What the server signs, so that the answer cannot come from another one. */
  nonce: base64(32),
});
export type EnrolRequest = z.output<typeof enrolRequest>;

export const enrolResponse = z.object({
  gateway: gatewayId,
  token: z.string().max(128),
  serverPublicKey: base64(64),
  signature: base64(64),
});
export type EnrolResponse = z.output<typeof enrolResponse>;

export const enrolRefusal = z.object({ code: z.string(), message: z.string() });

/** Bigints as decimal text: JSON numbers would round them. */
export function encodeControl(message: object): string {
  return JSON.stringify(message, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
}

const BLOCK_FRAME = 1;
const BLOCK_FRAME_HEAD_BYTES = 4;

/** u8 kind, u24 lane index, block. */
export function encodeBlockFrame(lane: number, block: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(BLOCK_FRAME_HEAD_BYTES + block.length);
  frame.writeUInt8(BLOCK_FRAME, 0);
  frame.writeUIntBE(lane, 1, 3);
  frame.set(block, BLOCK_FRAME_HEAD_BYTES);
  return frame;
}

/** A view of the frame; null when it is none. */
export function decodeBlockFrame(frame: Buffer): { lane: number; block: Uint8Array } | null {
  if (frame.length <= BLOCK_FRAME_HEAD_BYTES || frame[0] !== BLOCK_FRAME) return null;
  return { lane: frame.readUIntBE(1, 3), block: frame.subarray(BLOCK_FRAME_HEAD_BYTES) };
}
