// Bodies of `application/x-amz-json-1.1`: timestamps are seconds, blobs base64 text.
import { isUtf8 } from 'node:buffer';
import { SelfWritten } from './body-codec.ts';
import type { BodyCodec } from './body-codec.ts';
import { JSON_SCALARS } from './scalar-types.ts';

export const JSON_CODEC: BodyCodec = {
  mediaType: 'application/x-amz-json-1.1',
  scalars: JSON_SCALARS,
  parse,
  write: (document) => {
    const members = Object.entries(document);
    if (!members.some(([, value]) => value instanceof SelfWritten)) return JSON.stringify(document);
    const texts = members
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${JSON.stringify(name)}:${textOf(value)}`);
    return `{${texts.join(',')}}`;
  },
};

function textOf(value: unknown): string {
  return value instanceof SelfWritten ? value.json() : JSON.stringify(value);
}

/** Undefined for bytes that are no UTF-8, too. */
function parse(body: Uint8Array): object | undefined {
  if (!isUtf8(body)) return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}
