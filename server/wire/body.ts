// Reads requests' whole bodies, within bounds of size, time and memory.
import { constants } from 'node:http2';
import type { WireRequest } from './http-servers.ts';
import type { BodyLimits } from './limits.ts';

/** How much more is read and thrown away, so that the client sees the refusal and not a reset connection. */
const DISCARDED_BODIES = 4;

export type BodyResult =
  | { readonly kind: 'body'; readonly body: Uint8Array }
  | { readonly kind: 'tooLarge' }
  /** Too much of all bodies together is on its way. */
  | { readonly kind: 'busy' }
  /** The client went away, or was cut off because it was too slow: nobody is left to answer. */
  | { readonly kind: 'aborted' };

export class BodyReader {
  readonly #limits: BodyLimits;
  /** Of bodies that are on their way. */
  #heldBytes = 0;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  read(request: WireRequest): Promise<BodyResult> {
    const { idleMs, wholeMs } = this.#limits;
    const body = new ArrivingBody(this.#limits.bytes);
    const endMs = performance.now() + wholeMs;
    return new Promise((resolve) => {
      const idle = setTimeout(() => cutOff(request), idleMs);
      const settle = (result: BodyResult): void => {
        clearTimeout(idle);
        this.#heldBytes -= body.heldBytes;
        body.release();
        resolve(result);
      };
      request.on('data', (chunk: Buffer) => {
        idle.refresh();
        this.#heldBytes += body.add(chunk, this.#limits.allBytes - this.#heldBytes);
        if (performance.now() > endMs) cutOff(request);
        else if (body.isHopeless) settle(body.result());
      });
      request.once('end', () => settle(body.result()));
      // After `end` these find the promise settled.
      for (const event of ['aborted', 'error', 'close'])
        request.once(event, () => settle({ kind: 'aborted' }));
    });
  }
}

class ArrivingBody {
  readonly #bytesMax: number;
  readonly #chunks: Buffer[] = [];
  #length = 0;
  #refusal: 'tooLarge' | 'busy' | null = null;
  heldBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** More than anybody waits for the refusal of. */
  get isHopeless(): boolean {
    return this.#length > (1 + DISCARDED_BODIES) * this.#bytesMax;
  }

  /** By how much it holds more than before, less when it is refused. */
  add(chunk: Buffer, roomBytes: number): number {
    this.#length += chunk.length;
    if (this.#length > this.#bytesMax) this.#refusal ??= 'tooLarge';
    else if (chunk.length > roomBytes) this.#refusal ??= 'busy';
    const before = this.heldBytes;
    if (this.#refusal === null) {
      this.#chunks.push(chunk);
      this.heldBytes += chunk.length;
    } else this.release();
    return this.heldBytes - before;
  }

  release(): void {
    this.#chunks.length = 0;
    this.heldBytes = 0;
  }

  result(): BodyResult {
    if (this.#refusal !== null) return { kind: this.#refusal };
    const [first] = this.#chunks;
    const isOne = this.#chunks.length === 1 && first !== undefined;
    return { kind: 'body', body: isOne ? first : Buffer.concat(this.#chunks, this.#length) };
  }
}

/** Only the one request of an HTTP/2 connection. */
function cutOff(request: WireRequest): void {
  if ('stream' in request) request.stream.close(constants.NGHTTP2_CANCEL);
  else request.destroy();
}
