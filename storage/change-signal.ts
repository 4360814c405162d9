// Wakes whoever waits for the next change. Edge-triggered: take the promise before looking, then wait for it.

export class ChangeSignal {
  #wake: (() => void) | null = null;
  #next: Promise<void> | null = null;

  next(): Promise<void> {
    this.#next ??= new Promise((resolve) => {
      this.#wake = resolve;
    });
    return this.#next;
  }

  raise(): void {
    this.#wake?.();
    this.#wake = null;
    this.#next = null;
  }
}

/** Resolves with true at the change, with false at the abort. */
export async function changeOrAbort(change: Promise<void>, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return false;
  let stop: (() => void) | null = null;
  const aborted = new Promise<boolean>((resolve) => {
    stop = () => resolve(false);
    signal.addEventListener('abort', stop, { once: true });
  });
  const changed = await Promise.race([change.then(() => true), aborted]);
  if (stop !== null) signal.removeEventListener('abort', stop);
  return changed;
}
