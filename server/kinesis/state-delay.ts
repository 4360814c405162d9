// How long streams and consumers stay CREATING, UPDATING or DELETING. Here a change takes one commit; the service takes
// seconds, and programs that are tested against this server must see those states, too.
import type { Log } from '../../stream/ports.ts';

/** No sooner a step that failed is tried again. */
const RETRY_MS = 1_000;

export class StateDelay {
  readonly #delayMs: number;
  readonly #log: Log;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #steps = new Set<Promise<void>>();
  #isClosed = false;

  /** `delayMs` 0: states last no longer than the work. */
  constructor(delayMs: number, log: Log) {
    this.#delayMs = delayMs;
    this.#log = log;
  }

  /** False: what leads out of the state is done before the call is answered. */
  get isHeld(): boolean {
    return this.#delayMs > 0;
  }

  /** Runs `step` when the state has lasted, again when it fails. What the end of the program cuts off the next start does. */
  after(step: () => Promise<void>, delayMs = this.#delayMs): void {
    if (this.#isClosed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      const running = step().catch((error: unknown) => {
        this.#log.error('a change of state failed and is tried again', { reason: String(error) });
        this.again(step);
      });
      this.#steps.add(running);
      void running.finally(() => this.#steps.delete(running));
    }, delayMs);
    this.#timers.add(timer);
  }

  /** The same for a step that failed: in a while. */
  again(step: () => Promise<void>): void {
    this.after(step, Math.max(this.#delayMs, RETRY_MS));
  }

  /** Starts nothing more; resolves when what runs has ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(this.#steps);
  }
}
