// Inflated bodies of blocks that are read page by page: each page would inflate the whole block again.
import type { Codec } from '../stream/ports.ts';

/** Of all bodies together: some readers at a time, in blocks of at most 1 MiB. */
export const INFLATED_BYTES_MAX = 8 * 1024 * 1024;

interface Body {
  /** What it was inflated from: a place may hold another block after its shard was made anew. */
  readonly stored: Uint8Array;
  readonly raw: Uint8Array;
}

export class InflatedBodies {
  readonly #codecs: readonly Codec[];
  /** Oldest use first. */
  readonly #bodies = new Map<string, Body>();
  #bytes = 0;

  constructor(codecs: readonly Codec[]) {
    this.#codecs = codecs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The same codecs, for the block at `place`: what it inflates to is remembered. Its readers must not change it. */
  codecsAt(place: string): readonly Codec[] {
    return this.#codecs.map((codec) => ({
      ...codec,
      decompress: (stored, rawLength) =>
        this.#known(place, stored, rawLength) ??
        this.#keep(place, { stored, raw: codec.decompress(stored, rawLength) }),
    }));
  }

  #known(place: string, stored: Uint8Array, rawLength: number): Uint8Array | null {
    const body = this.#bodies.get(place);
    if (body === undefined || body.raw.length !== rawLength || !isSame(body.stored, stored)) return null;
    this.#bodies.delete(place);
    this.#bodies.set(place, body);
    return body.raw;
  }

  #keep(place: string, body: Body): Uint8Array {
    this.#drop(place);
    this.#bodies.set(place, body);
    this.#bytes += bytesOf(body);
    for (const oldest of this.#bodies.keys()) {
      if (this.#bytes <= INFLATED_BYTES_MAX) break;
      this.#drop(oldest);
    }
    return body.raw;
  }

  #drop(place: string): void {
    const body = this.#bodies.get(place);
    if (body === undefined) return;
    this.#bodies.delete(place);
    this.#bytes -= bytesOf(body);
  }
}

function bytesOf({ stored, raw }: Body): number {
  return stored.length + raw.length;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
