// Writes JSON into one growing buffer: a page of megabytes as one string would be held twice and copied once more.

const START_BYTES = 4 * 1024;
/** UTF-8 takes at most this for one UTF-16 unit. */
const BYTES_PER_UNIT_MAX = 3;

export class JsonWriter {
  #bytes = Buffer.allocUnsafe(START_BYTES);
  #length = 0;

  /** What was written; the writer is done. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Makes room for so many bytes at once. */
  reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }

  /** Text that is JSON already. */
  raw(text: string): void {
    this.reserve(text.length * BYTES_PER_UNIT_MAX);
    this.#length += this.#bytes.write(text, this.#length, 'utf8');
  }
}
