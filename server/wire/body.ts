// Reads a request's whole body under a cap.
import type { WireRequest } from './listener.ts';

/** 10 MiB of data are 13.4 MiB of base64, plus keys. */
const BODY_BYTES_MAX = 16 * 1024 * 1024;
/** How much more is read and thrown away, so that the client sees the 413 and not a reset connection. */
const DISCARDED_BYTES_MAX = 4 * BODY_BYTES_MAX;

export type BodyResult =
  | { readonly kind: 'body'; readonly body: Uint8Array }
  | { readonly kind: 'tooLarge' }
  /** The client went away: nobody is left to answer. */
  | { readonly kind: 'aborted' };

export function readBody(request: WireRequest, bytesMax: number = BODY_BYTES_MAX): Promise<BodyResult> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length <= bytesMax) chunks.push(chunk);
      else chunks.length = 0;
      if (length > bytesMax + DISCARDED_BYTES_MAX) resolve({ kind: 'tooLarge' });
    });
    request.once('end', () => {
      resolve(length > bytesMax ? { kind: 'tooLarge' } : { kind: 'body', body: joined(chunks, length) });
    });
    // After `end` these find the promise settled.
    request.once('aborted', () => resolve({ kind: 'aborted' }));
    request.once('error', () => resolve({ kind: 'aborted' }));
    request.once('close', () => resolve({ kind: 'aborted' }));
  });
}

function joined(chunks: readonly Buffer[], length: number): Buffer {
  const [first] = chunks;
  return chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks, length);
}
