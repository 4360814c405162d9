// Cuts a byte stream into lines: CR, LF or CRLF ends a frame, empty lines are dropped, bytes stay bytes.
// A line that outgrows its maximum is counted and dropped up to the next delimiter, so memory stays bounded.

/** Default maximum of one frame, delimiter excluded. */
export const FRAME_BYTES_MAX = 4 * 1024;

const CR = 0x0d;
const LF = 0x0a;

export class LineFramer {
  readonly #frameBytesMax: number;
  #parts: Uint8Array[] = [];
  #pendingBytes = 0;
  #isOverflowing = false;
  #overflows = 0;

  constructor(frameBytesMax = FRAME_BYTES_MAX) {
    if (!Number.isInteger(frameBytesMax) || frameBytesMax < 1) {
      throw new RangeError(`the maximum frame size must be a positive integer, not ${frameBytesMax}`);
    }
    this.#frameBytesMax = frameBytesMax;
  }

  /** Lines that were dropped because they were longer than the maximum. */
  get overflows(): number {
    return this.#overflows;
  }

  /** Bytes of a line whose end has not come yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** The frames this chunk completes. They are copies: the caller may re-use the chunk at once. */
  push(chunk: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (byte !== CR && byte !== LF) continue;
      // The LF of a CRLF ends an empty line, which is dropped: no state is needed for a pair cut by a chunk border.
      this.#gather(chunk, start, at);
      const frame = this.#finish();
      if (frame !== null) frames.push(frame);
      start = at + 1;
    }
    this.#gather(chunk, start, chunk.length);
    return frames;
  }

  /** Forgets the unfinished line: what follows a reconnect is not its continuation. */
  reset(): void {
    this.#parts = [];
    this.#pendingBytes = 0;
    this.#isOverflowing = false;
  }

  #gather(chunk: Uint8Array, start: number, end: number): void {
    if (start === end || this.#isOverflowing) return;
    if (this.#pendingBytes + end - start > this.#frameBytesMax) {
      this.reset();
      this.#isOverflowing = true;
      this.#overflows += 1;
      return;
    }
    // Not chunk.slice(): of a Buffer that is a view.
    this.#parts.push(Uint8Array.prototype.slice.call(chunk, start, end));
    this.#pendingBytes += end - start;
  }

  #finish(): Uint8Array | null {
    const parts = this.#parts;
    const length = this.#pendingBytes;
    this.reset();
    const only = parts[0];
    if (only === undefined) return null;
    return parts.length === 1 ? only : joined(parts, length);
  }
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const frame = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    frame.set(part, at);
    at += part.length;
  }
  return frame;
}
