// Bodies of `application/x-amz-json-1.1`: timestamps are seconds, blobs base64 text.
import { isAscii, isUtf8 } from 'node:buffer';
import { SelfWritten } from './body-codec.ts';
import type { BodyCodec } from './body-codec.ts';
import { JsonWriter } from './json-writer.ts';
import { JSON_SCALARS } from './scalar-types.ts';

export const JSON_CODEC: BodyCodec = {
  mediaType: 'application/x-amz-json-1.1',
  scalars: JSON_SCALARS,
  parse,
  write: (document) => {
    const members = Object.entries(document);
    if (!members.some(([, value]) => value instanceof SelfWritten)) return JSON.stringify(document);
    const writer = new JsonWriter();
    let before = '{';
    for (const [name, value] of members) {
      if (value === undefined) continue;
      writer.raw(`${before}${JSON.stringify(name)}:`);
      before = ',';
      if (value instanceof SelfWritten) value.json(writer);
      else writer.raw(JSON.stringify(value));
    }
    writer.raw('}');
    return writer.finish();
  },
};

/** Lists, maps and members of one body, those within strings counted as well: 50 MB of objects at most. */
const MARKS_MAX = 500_000;
/** In less there is no room for that many that would matter. */
const UNCOUNTED_BYTES_MAX = 1024 * 1024;

/** Undefined: the bytes are no UTF-8. Most bodies are ASCII, which one byte a character holds: faster to make and to parse. */
function textIn(body: Uint8Array): string | undefined {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (isAscii(bytes)) return bytes.toString('latin1');
  return isUtf8(bytes) ? bytes.toString() : undefined;
}

/** Undefined for bytes that are no UTF-8, too. */
function parse(body: Uint8Array): object | undefined {
  const text = textIn(body);
  if (text === undefined || isIntricate(body)) return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Bodies are parsed before their signature is checked: 16 MiB of empty lists would take a second and half a gigabyte of
 * whoever answers them.
 */
function isIntricate(body: Uint8Array): boolean {
  if (body.length <= UNCOUNTED_BYTES_MAX) return false;
  let marks = 0;
  for (let at = 0; at < body.length; at += 1) if (isMark(body[at])) marks += 1;
  return marks > MARKS_MAX;
}

/** `[`, `{` or `:`. */
function isMark(byte: number | undefined): boolean {
  return byte === 0x5b || byte === 0x7b || byte === 0x3a;
}
