// What watchers of a Meta map are told: a ring of the latest changes, in revision order.
import { TributaryError } from '../stream/errors.ts';
import { META_WATCH_HORIZON } from '../stream/limits.ts';
import type { MetaEvent } from '../stream/ports.ts';
import { ChangeSignal, changeOrAbort } from './change-signal.ts';

export class MetaFeed {
  readonly #ring: MetaEvent[] = [];
  readonly #signal = new ChangeSignal();
  /** Changes up to this revision are no longer in the ring. */
  #base: bigint;

  constructor(revision: bigint) {
    this.#base = revision;
  }

  push(event: MetaEvent): void {
    this.#ring.push(event);
    if (this.#ring.length > META_WATCH_HORIZON) this.#base = this.#ring.shift()?.revision ?? this.#base;
    this.#signal.raise();
  }

  /** Every change after `revision`. Throws WATCH_EXPIRED when the ring has forgotten some. */
  async *follow(prefix: string, revision: bigint, signal: AbortSignal): AsyncGenerator<MetaEvent> {
    let seen = revision;
    while (!signal.aborted) {
      const change = this.#signal.next();
      if (seen < this.#base) {
        throw new TributaryError(
          'WATCH_EXPIRED',
          `changes after revision ${seen} are forgotten; list and watch again`,
        );
      }
      const events = this.#ring.filter((event) => event.revision > seen);
      for (const event of events) {
        seen = event.revision;
        if (event.key.startsWith(prefix)) yield event;
      }
      if (events.length === 0 && !(await changeOrAbort(change, signal))) return;
    }
  }
}
