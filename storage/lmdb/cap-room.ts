// Whether a commit keeps the file below its cap. The library makes a file longer whenever it finds no free pages side by
// side, and free pages that an old reader still sees do not count, so both are looked at before a commit is begun.
import { TributaryError } from '../../stream/errors.ts';
import { PAGE_BYTES } from './commit-size.ts';
import type { CommitSize } from './commit-size.ts';
import { usablePages } from '../pages/free-list.ts';
import { PageFile } from '../pages/page-file.ts';
import { newestRoot } from '../pages/store-file.ts';

/** Held back for commits that only free pages, and for what the estimate of a commit may miss. */
const RESERVE_SHARE = 1 / 16;
const ATTEMPTS_MAX = 3;

/** `after-pause`: pages that were freed just now can be used by the second commit behind it. */
export type CapAnswer = 'yes' | 'no' | 'after-pause' | 'held-by-reader';

/** A transaction that a process reads the file as of. */
export interface Reader {
  readonly pid: number;
  readonly transaction: bigint;
}

export class CapRoom {
  readonly #path: string;
  readonly #capBytes: number;
  readonly #readers: () => readonly Reader[];
  readonly #file: PageFile;

  /** `readers`: of all processes, without those that have ended. */
  constructor(path: string, capBytes: number, readers: () => readonly Reader[]) {
    this.#path = path;
    this.#capBytes = capBytes;
    this.#readers = readers;
    this.#file = PageFile.open(path);
  }

  ask(size: CommitSize): CapAnswer {
    const grownBytes = this.#file.sizeBytes + size.bytes;
    if (grownBytes <= this.#capBytes * (1 - RESERVE_SHARE)) return 'yes';
    if (size.isFreeing) return 'yes';
    const root = newestRoot(this.#file);
    if (root === null) return 'yes';
    const oldest = this.#oldestReader()?.transaction ?? root.transaction;
    if (this.#fits(size, oldest < root.transaction ? oldest : root.transaction)) return 'yes';
    if (this.#fits(size, root.transaction)) return 'held-by-reader';
    return this.#fits(size, root.transaction + 1n) ? 'after-pause' : 'no';
  }

  full(answer: CapAnswer): TributaryError {
    const reader = this.#oldestReader();
    if (answer === 'held-by-reader' && reader !== undefined) {
      const text = `${this.#path} has reached its ${this.#capBytes} bytes, and process ${reader.pid} reads an old state of it, so that freed pages cannot be used: nothing was written; end that process`;
      return new TributaryError('STORAGE_FULL', text, { details: { limit: 'reader' } });
    }
    const text = `${this.#path} has reached its ${this.#capBytes} bytes: nothing was written; raise the cap or let the server take records`;
    return new TributaryError('STORAGE_FULL', text, { details: { limit: 'cap' } });
  }

  close(): void {
    this.#file.close();
  }

  #fits(size: CommitSize, oldest: bigint): boolean {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const root = newestRoot(this.#file);
      const usable = root === null ? null : usablePages(this.#file, root, oldest);
      if (usable === null) continue;
      return usable.count >= Math.ceil(size.bytes / PAGE_BYTES) && usable.longestRun >= size.runPages;
    }
    return false;
  }

  #oldestReader(): Reader | undefined {
    return this.#readers().toSorted((a, b) => Number(a.transaction - b.transaction))[0];
  }
}
