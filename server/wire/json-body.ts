// The small JSON bodies of our own APIs: read under a cap, parsed, checked by a schema, refused with the reason.
import { isUtf8 } from 'node:buffer';
import { z } from 'zod';
import { BodyReader } from './body.ts';
import { BODY_LIMITS } from './limits.ts';
import type { WireRequest } from './listener.ts';

export type JsonBody =
  | { readonly kind: 'body'; readonly bytes: Uint8Array }
  | { readonly kind: 'tooLarge' }
  | { readonly kind: 'aborted' };

const SMALL_BODY_BYTES_MAX = 16 * 1024;
/** All of them together are bounded by the number of connections. */
const reader = new BodyReader({ ...BODY_LIMITS, bytes: SMALL_BODY_BYTES_MAX, allBytes: Infinity });

export class BadBody extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BadBody';
  }
}

export async function readSmallBody(request: WireRequest): Promise<JsonBody> {
  const read = await reader.read(request);
  if (read.kind === 'body') return { kind: 'body', bytes: read.body };
  return { kind: read.kind === 'aborted' ? 'aborted' : 'tooLarge' };
}

/** Throws BadBody. An empty body is an empty object. */
export function parseJson<S extends z.ZodType>(bytes: Uint8Array, schema: S): z.output<S> {
  const result = schema.safeParse(bytes.length === 0 ? {} : textOf(bytes));
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const path = issue.path.map(String).join('.');
    return path === '' ? issue.message : `${path}: ${issue.message}`;
  });
  throw new BadBody(problems.slice(0, 10).join('; '));
}

function textOf(bytes: Uint8Array): unknown {
  if (!isUtf8(bytes)) throw new BadBody('the body is not UTF-8');
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw new BadBody('the body is not JSON');
  }
}
