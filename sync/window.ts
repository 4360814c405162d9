// How many bytes may be under way: what the link delivers in 100 ms, or in one round trip where that is longer, so that
// an alarm that comes now overtakes a backlog within one round trip; and never more than the server's credit.

const WINDOW_MIN_BYTES = 16 * 1024;
const WINDOW_MS = 100;
/** A window of about one round trip could never find out that the link carries more. */
const HEADROOM = 2;
/** Weight of the newest measurement. */
const SMOOTHING = 0.3;

/** What was known when bytes were sent. */
export interface Sent {
  readonly bytes: number;
  readonly sentAtUs: bigint;
  readonly deliveredBytes: number;
}

export class SendWindow {
  readonly #creditBytes: number;
  #bytesPerMs = 0;
  #roundTripMs = Infinity;
  #inFlightBytes = 0;
  #deliveredBytes = 0;

  constructor(creditBytes: number) {
    this.#creditBytes = creditBytes;
  }

  get bytes(): number {
    const spanMs = Number.isFinite(this.#roundTripMs) ? Math.max(WINDOW_MS, HEADROOM * this.#roundTripMs) : 0;
    return Math.min(this.#creditBytes, Math.max(WINDOW_MIN_BYTES, this.#bytesPerMs * spanMs));
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** A block larger than the window goes alone. */
  hasRoomFor(bytes: number): boolean {
    return this.#inFlightBytes === 0 || this.#inFlightBytes + bytes <= this.bytes;
  }

  sent(bytes: number, nowUs: bigint): Sent {
    this.#inFlightBytes += bytes;
    return { bytes, sentAtUs: nowUs, deliveredBytes: this.#deliveredBytes };
  }

  /** The rate is what was delivered since these bytes were sent, they included. */
  acknowledged(sent: Sent, nowUs: bigint): void {
    this.#inFlightBytes -= sent.bytes;
    this.#deliveredBytes += sent.bytes;
    const elapsedMs = Math.max(1, Number(nowUs - sent.sentAtUs) / 1000);
    this.#roundTripMs = Math.min(this.#roundTripMs, elapsedMs);
    const sample = (this.#deliveredBytes - sent.deliveredBytes) / elapsedMs;
    this.#bytesPerMs =
      this.#bytesPerMs === 0 ? sample : this.#bytesPerMs + SMOOTHING * (sample - this.#bytesPerMs);
  }
}
