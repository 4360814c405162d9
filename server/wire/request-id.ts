// The ids of a reply: what a user tells an operator, and an operator finds in the log.
import { randomFillSync, randomUUID } from 'node:crypto';

const EXTENDED_BYTES = 72;
/** Ids are no secrets; filled for many replies at a time, which costs a third. */
const POOL = Buffer.alloc(EXTENDED_BYTES * 128);
let place = POOL.length;

export function requestId(): string {
  return randomUUID();
}

/** What AWS sends as x-amz-id-2: base64 of 72 random bytes. */
export function extendedRequestId(): string {
  if (place === POOL.length) {
    randomFillSync(POOL);
    place = 0;
  }
  place += EXTENDED_BYTES;
  return POOL.toString('base64', place - EXTENDED_BYTES, place);
}
