// The failures that tests inject into the reference model.
import { TributaryError } from '../../stream/errors.ts';

/** What stands in a write's way. */
export class MemoryDisk {
  #next: TributaryError | null = null;
  #stopped: TributaryError | null = null;
  #isClosed = false;

  fail(cause: 'ENOSPC' | 'EIO'): void {
    this.#next =
      cause === 'ENOSPC'
        ? new TributaryError('STORAGE_FULL', 'the disk is full: nothing was written')
        : new TributaryError('STORAGE_FAILED', 'the disk failed: nothing more is acknowledged');
  }

  close(): void {
    this.#isClosed = true;
  }

  checkRead(): void {
    if (this.#isClosed) throw new TributaryError('STORAGE_CLOSED', 'the store is closed');
  }

  checkWrite(): void {
    this.checkRead();
    const error = this.#stopped ?? this.#next;
    this.#next = null;
    if (error === null) return;
    if (error.code === 'STORAGE_FAILED') this.#stopped = error;
    throw error;
  }
}
