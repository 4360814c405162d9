// Sockets on which no gateway has proved who it is yet: few at a time, and little that they may send.
import type { Duplex } from 'node:stream';
import { CONTROL_BYTES_MAX } from '../sync/protocol.ts';

export interface StrangerLimits {
  /** Sockets at the same time. */
  readonly socketsMax: number;
  /** What one may send in any case: `open` and `hello` have less than 1 KiB together. */
  readonly shareBytes: number;
  /** What one may send at most: the session still says what is wrong with a control frame that is too large. */
  readonly bytesMax: number;
  /** What all of them may have sent together before those beyond their share are cut off. */
  readonly totalBytesMax: number;
  /** How long one is safe from those that come after it when there is no more room. */
  readonly graceMs: number;
}

export const DEFAULT_STRANGER_LIMITS: StrangerLimits = {
  socketsMax: 256,
  shareBytes: 16 * 1024,
  bytesMax: 2 * CONTROL_BYTES_MAX,
  totalBytesMax: 16 * 1024 * 1024,
  graceMs: 3_000,
};

interface Stranger {
  readonly sinceMs: number;
  readonly socket: Duplex;
  bytes: number;
}

export class Strangers {
  readonly #limits: StrangerLimits;
  readonly #now: () => number;
  /** Oldest first. */
  readonly #waiting = new Set<Stranger>();
  #totalBytes = 0;

  /** `now` is monotonic. */
  constructor(limits: StrangerLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /**
   * When all places are taken the oldest is cut off, but not within its grace: after an outage all gateways come at once,
   * and those that came first must get through. Somebody who holds sockets open loses them then.
   */
  hasRoom(): boolean {
    if (this.#waiting.size < this.#limits.socketsMax) return true;
    const [oldest] = this.#waiting;
    if (oldest === undefined || this.#now() - oldest.sinceMs < this.#limits.graceMs) return false;
    this.#forget(oldest);
    oldest.socket.destroy();
    return true;
  }

  /** Watches the socket until the function it answers is called, once the gateway is known. */
  add(socket: Duplex): () => void {
    const stranger: Stranger = { sinceMs: this.#now(), socket, bytes: 0 };
    this.#waiting.add(stranger);
    const count = (chunk: Buffer): void => {
      stranger.bytes += chunk.length;
      this.#totalBytes += chunk.length;
      if (this.#isTooMuch(stranger)) socket.destroy();
    };
    const known = (): void => {
      this.#forget(stranger);
      socket.off('data', count);
      socket.off('close', known);
    };
    socket.on('data', count);
    socket.once('close', known);
    return known;
  }

  #isTooMuch({ bytes }: Stranger): boolean {
    const { shareBytes, bytesMax, totalBytesMax } = this.#limits;
    return bytes > bytesMax || (bytes > shareBytes && this.#totalBytes > totalBytesMax);
  }

  #forget(stranger: Stranger): void {
    if (this.#waiting.delete(stranger)) this.#totalBytes -= stranger.bytes;
  }
}
