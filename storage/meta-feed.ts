// What watchers of a Meta map are told: a ring of the latest changes, in revision order.
import { TributaryError } from '../stream/errors.ts';
import { META_WATCH_HORIZON } from '../stream/limits.ts';
import type { MetaEvent } from '../stream/ports.ts';
import { ChangeSignal } from './change-signal.ts';

/** Values may be large: the ring forgets earlier rather than hold this many bytes. */
const RING_BYTES_MAX = 16 * 1024 * 1024;

export class MetaFeed {
  readonly #ring: MetaEvent[] = [];
  #ringBytes = 0;
  readonly #signal = new ChangeSignal();
  /** Changes up to this revision are no longer in the ring. */
  #base: bigint;
  #newest: bigint;
  #closed: TributaryError | null = null;

  constructor(revision: bigint) {
    this.#base = revision;
    this.#newest = revision;
  }

  push(event: MetaEvent): void {
    this.#ring.push(event);
    this.#ringBytes += bytesOf(event);
    this.#newest = event.revision;
    while (this.#ring.length > META_WATCH_HORIZON || this.#ringBytes > RING_BYTES_MAX) {
      const forgotten = this.#ring.shift();
      if (forgotten === undefined) break;
      this.#ringBytes -= bytesOf(forgotten);
      this.#base = forgotten.revision;
    }
    this.#signal.raise();
  }

  /** Whoever follows is told that the store is closed. */
  close(error: TributaryError): void {
    this.#closed = error;
    this.#signal.raise();
  }

  /** Every change after `revision`. Throws WATCH_EXPIRED when the ring has forgotten some, or never knew it. */
  async *follow(prefix: string, revision: bigint, signal: AbortSignal): AsyncGenerator<MetaEvent> {
    let seen = revision;
    while (!signal.aborted) {
      const change = this.#signal.next();
      if (this.#closed !== null) throw this.#closed;
      if (seen < this.#base || seen > this.#newest) {
        throw new TributaryError(
          'WATCH_EXPIRED',
          `changes after revision ${seen} are not known; list and watch again`,
        );
      }
      const events = this.#after(seen);
      for (const event of events) {
        if (signal.aborted) return;
        seen = event.revision;
        if (event.key.startsWith(prefix)) yield event;
      }
      if (events.length === 0 && !(await change.orAbort(signal))) return;
    }
  }

  /** Events behind a revision; looked for from the end, because followers are near it. */
  #after(revision: bigint): MetaEvent[] {
    const last = this.#ring.findLastIndex((event) => event.revision <= revision);
    return this.#ring.slice(last + 1);
  }
}

function bytesOf(event: MetaEvent): number {
  return event.key.length + (event.value?.length ?? 0);
}
