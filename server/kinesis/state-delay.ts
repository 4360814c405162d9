// How long streams and consumers stay CREATING, UPDATING or DELETING. Here a change takes one commit; the service takes
// seconds, and programs that are tested against this server must see those states, too.
import type { Log } from '../../stream/ports.ts';

export class StateDelay {
  readonly #delayMs: number;
  readonly #log: Log;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #steps = new Set<Promise<void>>();

  /** `delayMs` 0: states last no longer than the work. */
  constructor(delayMs: number, log: Log) {
    this.#delayMs = delayMs;
    this.#log = log;
  }

  /** False: what leads out of the state is done before the call is answered. */
  get isHeld(): boolean {
    return this.#delayMs > 0;
  }

  /** Runs `step` when the state has lasted. One that fails, or that a restart forgets, is done by the next start. */
  after(step: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      const running = step().catch((error: unknown) =>
        this.#log.error('a change of state failed; the next start does it again', { reason: String(error) }),
      );
      this.#steps.add(running);
      void running.finally(() => this.#steps.delete(running));
    }, this.#delayMs);
    this.#timers.add(timer);
  }

  /** Starts nothing more; resolves when what runs has ended. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    await Promise.all(this.#steps);
  }
}
