// Wakes whoever waits for the next change. Edge-triggered: take the change before looking, then wait for it.

/** One that may not have come yet. */
export class Change {
  #hasCome = false;
  readonly #waiting = new Set<() => void>();

  /**
   * Resolves with true when it has come, with false at the abort. Who does not wait any more is not remembered: a change may
   * never come, and readers come and go.
   */
  orAbort(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.#hasCome) return Promise.resolve(true);
    return new Promise((resolve) => {
      const settle = (hasCome: boolean): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', stop);
        resolve(hasCome);
      };
      const wake = (): void => settle(true);
      const stop = (): void => settle(false);
      this.#waiting.add(wake);
      signal.addEventListener('abort', stop);
    });
  }

  come(): void {
    this.#hasCome = true;
    for (const wake of this.#waiting) wake();
  }
}

export class ChangeSignal {
  #next: Change | null = null;

  next(): Change {
    this.#next ??= new Change();
    return this.#next;
  }

  raise(): void {
    this.#next?.come();
    this.#next = null;
  }
}
