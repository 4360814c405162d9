// Messages of an event stream (Smithy, Amazon Event Stream): headers and a payload with a checksum each.
import { crc32 } from 'node:zlib';

/** Total length, length of the headers, checksum of both. */
const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;
const STRING_TYPE = 7;

export type EventHeaders = Readonly<Record<string, string>>;

export function eventMessage(headers: EventHeaders, payload: Uint8Array): Uint8Array {
  const head = Buffer.concat(Object.entries(headers).map(headerBytes));
  const message = Buffer.allocUnsafe(PRELUDE_BYTES + head.length + payload.length + CHECKSUM_BYTES);
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(head.length, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  message.set(head, PRELUDE_BYTES);
  message.set(payload, PRELUDE_BYTES + head.length);
  const checkedBytes = message.length - CHECKSUM_BYTES;
  message.writeUInt32BE(crc32(message.subarray(0, checkedBytes)), checkedBytes);
  return message;
}

function headerBytes([name, value]: readonly [string, string]): Uint8Array {
  const text = Buffer.from(value);
  const nameBytes = Buffer.from(name);
  const length = Buffer.of(text.length >> 8, text.length & 0xff);
  return Buffer.concat([Buffer.of(nameBytes.length), nameBytes, Buffer.of(STRING_TYPE), length, text]);
}
