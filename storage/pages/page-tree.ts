// Walks the trees of a store file as far as they go: a damaged page is told and passed over.
import { NO_PAGE } from './page-file.ts';
import type { PageFile } from './page-file.ts';
import { PAGE_HEADER_BYTES, childrenOf, entriesOf, parsePage, runPagesOf } from './page-entries.ts';
import type { CompareKeys, LeafEntry, Page } from './page-entries.ts';

const DEPTH_MAX = 32;

/** Pages by number: one bit for each. */
export class PageSet {
  readonly #bits: Uint8Array;

  constructor(pages: number) {
    this.#bits = new Uint8Array(Math.ceil(pages / 8));
  }

  has(number: number): boolean {
    return ((this.#bits[number >> 3] ?? 0) & (1 << (number & 7))) !== 0;
  }

  add(number: number, count = 1): void {
    const end = Math.min(number + count, this.#bits.length * 8);
    for (let page = number; page < end; page += 1) {
      this.#bits[page >> 3] = (this.#bits[page >> 3] ?? 0) | (1 << (page & 7));
    }
  }
}

export interface TreeEntry extends LeafEntry {
  /** Of the leaf. */
  readonly transaction: bigint;
}

export type OnDamage = (text: string) => void;

export class PageTrees {
  readonly #file: PageFile;
  readonly #pageBytes: number;
  readonly #pages: number;
  readonly #onDamage: OnDamage;
  /** Every page that a walk came to. */
  readonly reached: PageSet;

  constructor(file: PageFile, onDamage: OnDamage) {
    this.#file = file;
    this.#pageBytes = file.pageBytes;
    this.#pages = Math.ceil(file.sizeBytes / this.#pageBytes);
    this.#onDamage = onDamage;
    this.reached = new PageSet(this.#pages);
  }

  get pages(): number {
    return this.#pages;
  }

  /** Entries of a tree in key order. */
  *entries(root: bigint, compare?: CompareKeys): Generator<TreeEntry> {
    if (root !== NO_PAGE) yield* this.#walk(Number(root), 0, compare);
  }

  *entriesOn(page: Page, compare?: CompareKeys): Generator<TreeEntry> {
    let damaged = 0;
    for (const entry of entriesOf(page, compare)) {
      if (entry === null) damaged += 1;
      else yield { ...entry, transaction: page.transaction };
    }
    if (damaged > 0) this.#onDamage(`${damaged} entries on page ${page.number} are damaged`);
  }

  /** A copy; null when its pages are damaged. */
  valueOf(entry: LeafEntry): Buffer | null {
    if (entry.inline !== null) return Buffer.from(entry.inline);
    const pages = Math.ceil((PAGE_HEADER_BYTES + entry.valueBytes) / this.#pageBytes);
    const head = this.page(entry.run);
    if (head?.kind !== 'run' || runPagesOf(head) < pages) {
      this.#onDamage(`page ${entry.run}, where a value starts, is overwritten or missing`);
      return null;
    }
    const value = this.#file.bytes(entry.run * this.#pageBytes + PAGE_HEADER_BYTES, entry.valueBytes);
    if (value === null) this.#onDamage(`the pages from ${entry.run} on are missing`);
    return value;
  }

  /** The pages of its value are its own: what lies on them is nobody else's. */
  own(entry: LeafEntry): void {
    const pages = Math.ceil((PAGE_HEADER_BYTES + entry.valueBytes) / this.#pageBytes);
    if (entry.inline === null) this.reached.add(entry.run, pages);
  }

  page(number: number): Page | null {
    if (!Number.isSafeInteger(number) || number < 0 || number >= this.#pages) return null;
    const bytes = this.#file.bytes(number * this.#pageBytes, this.#pageBytes);
    return bytes === null ? null : parsePage(bytes, number);
  }

  *#walk(number: number, depth: number, compare?: CompareKeys): Generator<TreeEntry> {
    const page = this.page(number);
    if (page === null || page.kind === 'run') {
      this.#onDamage(`page ${number} is overwritten or missing`);
      return;
    }
    if (this.reached.has(number) || depth > DEPTH_MAX) {
      this.#onDamage(`page ${number} is in two places`);
      return;
    }
    this.reached.add(number);
    if (page.kind === 'leaf') yield* this.entriesOn(page, compare);
    else {
      for (const child of childrenOf(page)) {
        if (child === null) this.#onDamage(`an entry on page ${number} is damaged`);
        else yield* this.#walk(child, depth + 1, compare);
      }
    }
  }
}
