// How many bytes may be under way: what the link carries in 100 ms, so that an alarm that comes now overtakes a
// backlog within one round trip, and never more than the server's credit.

const WINDOW_MIN_BYTES = 16 * 1024;
const WINDOW_MS = 100;
/** Weight of the newest measurement. */
const SMOOTHING = 0.3;

export class SendWindow {
  readonly #creditBytes: number;
  #bytesPerMs = 0;
  #inFlightBytes = 0;

  constructor(creditBytes: number) {
    this.#creditBytes = creditBytes;
  }

  get bytes(): number {
    return Math.min(this.#creditBytes, Math.max(WINDOW_MIN_BYTES, this.#bytesPerMs * WINDOW_MS));
  }

  get inFlightBytes(): number {
    return this.#inFlightBytes;
  }

  /** A block larger than the window goes alone. */
  hasRoomFor(bytes: number): boolean {
    return this.#inFlightBytes === 0 || this.#inFlightBytes + bytes <= this.bytes;
  }

  sent(bytes: number): void {
    this.#inFlightBytes += bytes;
  }

  /** `elapsedMs` since the bytes were sent, with `inFlightBytes` under way at that moment, they included. */
  acknowledged(bytes: number, inFlightBytes: number, elapsedMs: number): void {
    this.#inFlightBytes -= bytes;
    const sample = inFlightBytes / Math.max(1, elapsedMs);
    this.#bytesPerMs =
      this.#bytesPerMs === 0 ? sample : this.#bytesPerMs + SMOOTHING * (sample - this.#bytesPerMs);
  }
}
