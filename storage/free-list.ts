// Whether the list of a store file's free pages can be followed. The engine's library shows it to nobody, trusts it
// blindly when it writes, and is ended with a signal by a damaged one.
import { readSync } from 'node:fs';
import type { RootPage } from './store-file.ts';

/** Of a page: where its header has what, and where that ends; places of entries count from there. */
const PAGE = { number: 0, flags: 18, lower: 20, headerBytes: 24 } as const;
const BRANCH = 0x01;
const LEAF = 0x02;
const OVERFLOW = 0x04;
/** Of an entry on a page: two halves of a length (or a page's number in three parts), flags, the key's length. */
const ENTRY = { low: 0, high: 2, flags: 4, keyBytes: 6, headerBytes: 8 } as const;
/** The value is on pages of its own. */
const IS_BIG = 0x01;
const WORD_BYTES = 8;
const DEPTH_MAX = 16;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;

/** What is wrong with it, null when nothing is. */
export function freeListDamage(descriptor: number, root: RootPage): string | null {
  if (root.freeRoot === NO_PAGE) return null;
  try {
    new FreeListWalk(descriptor, root, () => undefined).walk(root.freeRoot, 0);
    return null;
  } catch (error) {
    // Reading what points nowhere throws as well.
    return `the list of its free pages is damaged (${error instanceof Error ? error.message : String(error)})`;
  }
}

export interface FreePages {
  readonly pages: number;
  /** Of the pages side by side. */
  readonly longestRun: number;
}

/**
 * Free pages that the next commit may use: those freed before transaction `oldest`, which the oldest reader sees. Null when
 * the list was written meanwhile.
 */
export function usablePages(descriptor: number, root: RootPage, oldest: bigint): FreePages | null {
  const runs: (readonly [first: bigint, pages: number])[] = [];
  try {
    const walk = new FreeListWalk(descriptor, root, (transaction, words) => {
      if (transaction < oldest) runs.push(...runsOf(words));
    });
    if (root.freeRoot !== NO_PAGE) walk.walk(root.freeRoot, 0);
  } catch {
    return null;
  }
  runs.sort(([a], [b]) => (a < b ? -1 : 1));
  let [pages, longestRun, run, next] = [0, 0, 0, -1n];
  for (const [first, count] of runs) {
    run = first === next ? run + count : count;
    next = first + BigInt(count);
    pages += count;
    longestRun = Math.max(longestRun, run);
  }
  return { pages, longestRun };
}

/** A word is a page's number, or the negative length of a run whose first page follows; 0 was used up. */
function runsOf(words: Buffer): [bigint, number][] {
  const runs: [bigint, number][] = [];
  const end = (Number(words.readBigUInt64LE(0)) + 1) * WORD_BYTES;
  for (let at = WORD_BYTES; at < end; at += WORD_BYTES) {
    const word = words.readBigInt64LE(at);
    if (word > 0n) runs.push([word, 1]);
    if (word < 0n) {
      at += WORD_BYTES;
      runs.push([words.readBigInt64LE(at), Number(-word)]);
    }
  }
  return runs;
}

class FreeListWalk {
  readonly #descriptor: number;
  readonly #root: RootPage;
  readonly #onList: (transaction: bigint, words: Buffer) => void;

  /** `onList`: pages that a transaction freed, the first word is how many words follow. */
  constructor(descriptor: number, root: RootPage, onList: (transaction: bigint, words: Buffer) => void) {
    this.#descriptor = descriptor;
    this.#root = root;
    this.#onList = onList;
  }

  walk(number: bigint, depth: number): void {
    check(depth < DEPTH_MAX, `page ${number} is too deep`);
    const page = this.#read(number, BRANCH | LEAF);
    const entries = page.readUInt16LE(PAGE.lower) / 2;
    check(Number.isInteger(entries) && entries > 0, `page ${number} has no entries`);
    const isLeaf = (page.readUInt16LE(PAGE.flags) & LEAF) !== 0;
    for (let index = 0; index < entries; index += 1) {
      const at = PAGE.headerBytes + page.readUInt16LE(PAGE.headerBytes + 2 * index);
      if (isLeaf) this.#checkList(page, at, number);
      else this.walk(childOf(page, at), depth + 1);
    }
  }

  /** A word that says how many words follow it. */
  #checkList(page: Buffer, at: number, number: bigint): void {
    const bytes = page.readUInt16LE(at + ENTRY.low) + page.readUInt16LE(at + ENTRY.high) * 0x1_0000;
    const start = at + ENTRY.headerBytes + page.readUInt16LE(at + ENTRY.keyBytes);
    const isBig = (page.readUInt16LE(at + ENTRY.flags) & IS_BIG) !== 0;
    const words = isBig
      ? this.#bigList(page.readBigUInt64LE(start), bytes)
      : page.subarray(start, start + bytes);
    const count = words.readBigUInt64LE(0);
    check((count + 1n) * BigInt(WORD_BYTES) <= BigInt(bytes), `a list on page ${number} is too long`);
    this.#onList(page.readBigUInt64LE(at + ENTRY.headerBytes), words);
  }

  /** Its pages lie side by side, only the first has a header. */
  #bigList(number: bigint, bytes: number): Buffer {
    const { pageBytes, lastPage } = this.#root;
    this.#read(number, OVERFLOW);
    const start = Number(number) * pageBytes + PAGE.headerBytes;
    check(start + bytes <= (Number(lastPage) + 1) * pageBytes, `the list on page ${number} is cut off`);
    const list = Buffer.alloc(bytes);
    check(
      readSync(this.#descriptor, list, 0, bytes, start) === bytes,
      `the list on page ${number} is cut off`,
    );
    return list;
  }

  #read(number: bigint, kinds: number): Buffer {
    const { pageBytes, lastPage } = this.#root;
    check(number > 1n && number <= lastPage, `page ${number} is none of the file's`);
    const page = Buffer.alloc(pageBytes);
    const read = readSync(this.#descriptor, page, 0, pageBytes, number * BigInt(pageBytes));
    const isRight =
      read === pageBytes &&
      page.readBigUInt64LE(PAGE.number) === number &&
      (page.readUInt16LE(PAGE.flags) & kinds) !== 0;
    check(isRight, `page ${number} is overwritten or missing`);
    return page;
  }
}

/** Its number is where a leaf has the value's length, and the flags. */
function childOf(page: Buffer, at: number): bigint {
  const low = page.readUInt16LE(at + ENTRY.low) + page.readUInt16LE(at + ENTRY.high) * 0x1_0000;
  return BigInt(low) + (BigInt(page.readUInt16LE(at + ENTRY.flags)) << 32n);
}

function check(holds: boolean, text: string): void {
  if (!holds) throw new Error(text);
}
