// What a device profile is: payload bytes in, records or a reason for quarantine out. Profiles never throw on input.
// Also the partition key a source's name becomes, and the record a refused payload is kept as.
import type { Digest } from '../stream/ports.ts';
import { PARTITION_KEY_CHARACTERS_MAX } from '../stream/limits.ts';
import type { RecordInput } from '../stream/record.ts';
import { encodeBase64 } from './base64.ts';

export interface DecodeContext {
  /** The MQTT topic or the serial port's configured path. */
  readonly source: string;
  /** Wall clock when the payload came in. */
  readonly nowMs: number;
}

export type Decoded =
  | { readonly kind: 'records'; readonly records: readonly RecordInput[] }
  | { readonly kind: 'quarantine'; readonly reason: string };

export interface Profile {
  readonly name: string;
  decode(payload: Uint8Array, context: DecodeContext): Decoded;
}

const MD5_HEX_CHARACTERS = 32;
/** Characters of a long name that stay readable in front of `#` and its MD5. */
const KEY_PREFIX_CHARACTERS = PARTITION_KEY_CHARACTERS_MAX - 1 - MD5_HEX_CHARACTERS;

/** The name itself, or what is left of a long one with its MD5 so that two long names stay two keys. */
export function partitionKeyOf(name: string, digest: Digest): string {
  if (name.length <= PARTITION_KEY_CHARACTERS_MAX) return name;
  return `${wholeCharacters(name, KEY_PREFIX_CHARACTERS)}#${digest.md5Hex(name)}`;
}

/** A cut through a surrogate pair would become U+FFFD on the wire, so the half is left out. */
function wholeCharacters(text: string, count: number): string {
  const last = text.charCodeAt(count - 1);
  const isHighSurrogate = last >= 0xd800 && last <= 0xdbff;
  return text.slice(0, isHighSurrogate ? count - 1 : count);
}

export interface Refusal extends DecodeContext {
  readonly reason: string;
  readonly payload: Uint8Array;
}

/** Largest payload a quarantine record holds; base64 and JSON around it must fit a record. */
export const QUARANTINE_PAYLOAD_BYTES_MAX = 4 * 1024 * 1024;

/** `{reason, source, payload, ts}`, the payload whole: the caller refuses what is larger than the maximum. */
export function quarantineRecord(refusal: Refusal, digest: Digest): RecordInput {
  const { reason, source, payload, nowMs } = refusal;
  const document = { reason, source, payload: encodeBase64(payload), ts: nowMs };
  return {
    partitionKey: partitionKeyOf(source, digest),
    data: new TextEncoder().encode(JSON.stringify(document)),
  };
}
