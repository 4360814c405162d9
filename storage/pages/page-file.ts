// The pages of a store file, read by this program's own code: what is damaged can neither end the process nor spread. A
// page that is none costs only what was on it.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { PAGE_BYTES } from '../lmdb/commit-size.ts';

/** LMDB's magic number and the version of its files, behind the header of each of the two root pages. */
const MAGIC = 0xbeefc0de;
const VERSION = 2;
const VERSION_MASK = 0xffff;
/** Where a root page has what is read here. */
const AT = {
  magic: 24,
  version: 28,
  pageBytes: 48,
  freeRoot: 88,
  mainEntries: 128,
  mainRoot: 136,
  lastPage: 144,
  transaction: 152,
} as const;
const ROOT_BYTES = AT.transaction + 8;
const PAGE_BYTES_MIN = 512;
const PAGE_BYTES_MAX = 65_536;
/** Pages in front of all others. */
export const ROOT_PAGES = 2;
export const NO_PAGE = 0xffff_ffff_ffff_ffffn;

export interface RootPage {
  readonly pageBytes: number;
  readonly lastPage: bigint;
  /** Of the list of free pages. */
  readonly freeRoot: bigint;
  /** Of the table of tables, with how many there are. */
  readonly mainRoot: bigint;
  readonly mainEntries: bigint;
  readonly transaction: bigint;
}

export class PageFile {
  readonly #descriptor: number;

  private constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  static open(path: string): PageFile {
    return new PageFile(openSync(path, 'r'));
  }

  static read<T>(path: string, look: (file: PageFile) => T): T {
    const file = PageFile.open(path);
    try {
      return look(file);
    } finally {
      file.close();
    }
  }

  /** Those that can be read, the newest first: a sound file has two. */
  get roots(): readonly RootPage[] {
    const first = this.#root(0);
    const sizes = [PAGE_BYTES, 512, 1_024, 2_048, 8_192, 16_384, 32_768, 65_536];
    const tried = first === null ? sizes : [first.pageBytes];
    const second =
      tried.map((bytes) => this.#root(bytes)).find((root, at) => root?.pageBytes === tried[at]) ?? null;
    return [first, second].filter((root) => root !== null).toSorted(byAge);
  }

  get sizeBytes(): number {
    return fstatSync(this.#descriptor).size;
  }

  get pageBytes(): number {
    return this.roots[0]?.pageBytes ?? PAGE_BYTES;
  }

  /** Null when the file ends before them, or the disk cannot read them. */
  bytes(at: number, length: number): Buffer | null {
    const bytes = Buffer.allocUnsafe(length);
    try {
      return readSync(this.#descriptor, bytes, 0, length, at) === length ? bytes : null;
    } catch {
      return null;
    }
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #root(at: number): RootPage | null {
    const page = this.bytes(at, ROOT_BYTES);
    if (page === null || page.readUInt32LE(AT.magic) !== MAGIC) return null;
    if ((page.readUInt32LE(AT.version) & VERSION_MASK) !== VERSION) return null;
    const pageBytes = page.readUInt32LE(AT.pageBytes);
    if (pageBytes < PAGE_BYTES_MIN || pageBytes > PAGE_BYTES_MAX) return null;
    return {
      pageBytes,
      lastPage: page.readBigUInt64LE(AT.lastPage),
      freeRoot: page.readBigUInt64LE(AT.freeRoot),
      mainRoot: page.readBigUInt64LE(AT.mainRoot),
      mainEntries: page.readBigUInt64LE(AT.mainEntries),
      transaction: page.readBigUInt64LE(AT.transaction),
    };
  }
}

function byAge(a: RootPage, b: RootPage): number {
  if (a.transaction === b.transaction) return 0;
  return a.transaction > b.transaction ? -1 : 1;
}
