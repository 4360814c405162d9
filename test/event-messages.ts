// Reads the messages of an event stream, for tests: checks both checksums and hands out headers and payload.
import { crc32 } from 'node:zlib';

export interface EventMessage {
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Buffer;
}

/** Throws when the chunks end within a message. */
export async function* eventMessages(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<EventMessage> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= rest.readUInt32BE(0)) {
      const length = rest.readUInt32BE(0);
      yield parse(rest.subarray(0, length));
      rest = rest.subarray(length);
    }
  }
  if (rest.length > 0) throw new Error(`${rest.length} bytes of an unfinished message`);
}

function parse(bytes: Buffer): EventMessage {
  const headersEnd = 12 + bytes.readUInt32BE(4);
  if (bytes.readUInt32BE(8) !== crc32(bytes.subarray(0, 8))) throw new Error('wrong checksum of the prelude');
  if (bytes.readUInt32BE(bytes.length - 4) !== crc32(bytes.subarray(0, -4)))
    throw new Error('wrong checksum');
  const headers: Record<string, string> = {};
  for (let at = 12; at < headersEnd;) {
    const nameEnd = at + 1 + bytes.readUInt8(at);
    const valueEnd = nameEnd + 3 + bytes.readUInt16BE(nameEnd + 1);
    headers[bytes.toString('utf8', at + 1, nameEnd)] = bytes.toString('utf8', nameEnd + 3, valueEnd);
    at = valueEnd;
  }
  return { headers, payload: bytes.subarray(headersEnd, -4) };
}
