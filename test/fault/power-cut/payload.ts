// Records that say what they are: whoever finds one knows which call wrote it, where it belongs and every byte of it.

export interface Payload {
  readonly caller: string;
  /** Calls of a caller, and records of its lane, count from 1. */
  readonly call: number;
  /** Records of the call, and which this one is, from 0. */
  readonly count: number;
  readonly index: number;
  readonly ordinal: number;
  readonly bytes: number;
}

export function encodePayload({ caller, call, count, index, ordinal, bytes }: Payload): Buffer {
  const head = `${caller} ${call} ${count} ${index} ${ordinal} ${bytes} `;
  return Buffer.from(head.padEnd(head.length + bytes, `${ordinal}.`));
}

/** Null when it is not, to the byte, what encodePayload made. */
export function decodePayload(data: Uint8Array): Payload | null {
  const [caller = '', ...numbers] = Buffer.from(data).toString().split(' ');
  const [call = 0, count = 0, index = 0, ordinal = 0, bytes = 0] = numbers.map(Number);
  const payload = { caller, call, count, index, ordinal, bytes };
  return bytes <= data.length && encodePayload(payload).equals(data) ? payload : null;
}

/** Kept beside the block that ends the call. */
export function noteOf({ caller, call }: Pick<Payload, 'caller' | 'call'>): string {
  return `${caller}:${call};`;
}

/** A side value of each call, deleted a few calls later, as the ids of QoS 2 are. */
export const SIDE_CALLS_KEPT = 3;

export function sideKey(caller: string, call: number): string {
  return `id/${caller}/${String(call).padStart(6, '0')}`;
}
