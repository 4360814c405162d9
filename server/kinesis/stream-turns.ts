// One change of a stream at a time.
import type { StreamStatus } from './stream-row.ts';

export class StreamTurns {
  readonly #refusal: (name: string, during: StreamStatus) => Error;
  readonly #underWay = new Map<
    string,
    { readonly change: Promise<unknown>; readonly during: StreamStatus }
  >();

  /** `refusal`: what a change that does not wait is told. */
  constructor(refusal: (name: string, during: StreamStatus) => Error) {
    this.#refusal = refusal;
  }

  /** Waits for whatever is under way. */
  async wait<T>(name: string, change: () => Promise<T>): Promise<T> {
    for (let other = this.#underWay.get(name); other !== undefined; other = this.#underWay.get(name))
      await Promise.allSettled([other.change]);
    return this.#run(name, 'ACTIVE', change);
  }

  /** Is refused while the stream is made or deleted. `during`: its state until the change has ended. */
  async claim<T>(name: string, during: StreamStatus, change: () => Promise<T>): Promise<T> {
    for (let other = this.#underWay.get(name); other !== undefined; other = this.#underWay.get(name)) {
      if (other.during !== 'ACTIVE') throw this.#refusal(name, other.during);
      await Promise.allSettled([other.change]);
    }
    return this.#run(name, during, change);
  }

  async #run<T>(name: string, during: StreamStatus, change: () => Promise<T>): Promise<T> {
    const running = change();
    this.#underWay.set(name, { change: running, during });
    try {
      return await running;
    } finally {
      this.#underWay.delete(name);
    }
  }
}
