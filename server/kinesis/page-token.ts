// Opaque tokens that a client carries between calls: signed, self-contained, valid for five minutes on every server.
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Position } from '../../stream/position.ts';
import { kinesisError } from './errors.ts';

/** Kinesis API: shard iterators and NextTokens expire 300 seconds after they were given. */
const TOKEN_VALID_MS = 300_000;
/** The first byte makes the first character an `A`: with a hyphen there the AWS CLI takes a token for an option. */
const VERSION = Buffer.of(1);
const MAC_BYTES = 16;

/** Where a reader stands in a shard. Bound to the stream's id, not its name. */
export interface ShardIterator {
  readonly streamId: string;
  readonly shardIndex: number;
  readonly position: Position;
}

interface Sealed {
  readonly kind: string;
  readonly issuedAtMs: number;
  readonly value: unknown;
}

export class TokenSigner {
  readonly #key: Uint8Array;

  constructor(key: Uint8Array) {
    this.#key = key;
  }

  sealIterator(iterator: ShardIterator, nowMs: number): string {
    return this.#seal(
      'iterator',
      [iterator.streamId, iterator.shardIndex, iterator.position.toString(36)],
      nowMs,
    );
  }

  /** Throws InvalidArgumentException or ExpiredIteratorException. */
  openIterator(token: string, nowMs: number): ShardIterator {
    const sealed = this.#open('iterator', token);
    if (sealed === null) throw kinesisError('InvalidArgumentException', 'Invalid ShardIterator.');
    if (nowMs > sealed.issuedAtMs + TOKEN_VALID_MS) throw expiredIterator(sealed.issuedAtMs, nowMs);
    const [streamId, shardIndex, position] = sealed.value as [string, number, string];
    return { streamId, shardIndex, position: parseBase36(position) };
  }

  sealPage(kind: string, value: unknown, nowMs: number): string {
    return this.#seal(kind, value, nowMs);
  }

  /** What sealPage was given. Throws InvalidArgumentException or ExpiredNextTokenException. */
  openPage(kind: string, token: string, nowMs: number): unknown {
    const sealed = this.#open(kind, token);
    if (sealed === null) throw kinesisError('InvalidArgumentException', 'Invalid NextToken.');
    if (nowMs <= sealed.issuedAtMs + TOKEN_VALID_MS) return sealed.value;
    throw kinesisError('ExpiredNextTokenException', 'The NextToken has expired; start the listing again.');
  }

  #seal(kind: string, value: unknown, issuedAtMs: number): string {
    const body = Buffer.from(JSON.stringify([kind, issuedAtMs, value]));
    return Buffer.concat([VERSION, this.#mac(body), body]).toString('base64url');
  }

  #open(kind: string, token: string): Sealed | null {
    const bytes = Buffer.from(token, 'base64url');
    const bodyAt = VERSION.length + MAC_BYTES;
    const body = bytes.subarray(bodyAt);
    if (bytes.length <= bodyAt || bytes[0] !== VERSION[0]) return null;
    if (!timingSafeEqual(bytes.subarray(VERSION.length, bodyAt), this.#mac(body))) return null;
    const [sealedKind, issuedAtMs, value] = JSON.parse(body.toString('utf8')) as [string, number, unknown];
    return sealedKind === kind ? { kind, issuedAtMs, value } : null;
  }

  #mac(body: Uint8Array): Uint8Array {
    return createHmac('sha256', this.#key).update(body).digest().subarray(0, MAC_BYTES);
  }
}

function parseBase36(text: string): Position {
  let value = 0n;
  for (const digit of text) value = value * 36n + BigInt(Number.parseInt(digit, 36));
  return value as Position;
}

function expiredIterator(issuedAtMs: number, nowMs: number): Error {
  const now = javaDate(nowMs);
  return kinesisError(
    'ExpiredIteratorException',
    `Iterator expired. The iterator was created at time ${javaDate(issuedAtMs)} while right now it is ${now} which is further in the future than the tolerated delay of ${TOKEN_VALID_MS} milliseconds.`,
  );
}

/** `Thu Jan 22 01:22:02 UTC 2015`, as the service prints times. */
function javaDate(ms: number): string {
  const [weekday, day, month, year, time] = new Date(ms).toUTCString().replace(',', '').split(' ');
  return `${weekday} ${month} ${day} ${time} UTC ${year}`;
}
