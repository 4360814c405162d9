// What one page of a store file holds. Every length and place on it is checked: an entry that lies is left out.

/** Of a page: where its header has what, and where that ends; places of entries count from there. */
const PAGE = { number: 0, transaction: 8, flags: 18, lower: 20, upper: 22, runPages: 20 } as const;
export const PAGE_HEADER_BYTES = 24;
const BRANCH = 0x01;
const LEAF = 0x02;
const OVERFLOW = 0x04;
const KINDS = 0x6f;
/** Of an entry: two halves of a length (or a page's number in three parts), flags, the key's length. */
const ENTRY = { low: 0, high: 2, flags: 4, keyBytes: 6, headerBytes: 8 } as const;
/** The value is on pages of its own. */
const IS_BIG = 0x01;
/** The value is the root of another tree. */
const IS_TREE = 0x02;
/** Page, transaction, how many pages. */
const BIG_BYTES = 24;
const TREE = { entries: 32, root: 40, bytes: 48 } as const;
const WORD_BYTES = 8;

export interface Page {
  readonly kind: 'branch' | 'leaf' | 'run';
  readonly number: number;
  /** That wrote it. */
  readonly transaction: bigint;
  readonly bytes: Buffer;
}

export interface LeafEntry {
  readonly key: Buffer;
  /** Length of the value, wherever it is. */
  readonly valueBytes: number;
  /** On the page itself; null when the value has pages of its own, which start at `run`. */
  readonly inline: Buffer | null;
  readonly run: number;
  readonly tree: { readonly root: bigint; readonly entries: bigint } | null;
}

/** Null when it is no page, or not the one that should be there. */
export function parsePage(bytes: Buffer, number: number): Page | null {
  if (bytes.readBigUInt64LE(PAGE.number) !== BigInt(number)) return null;
  const kind = kindOf(bytes.readUInt16LE(PAGE.flags) & KINDS);
  if (kind === null) return null;
  if (kind !== 'run') {
    const [lower, upper] = [bytes.readUInt16LE(PAGE.lower), bytes.readUInt16LE(PAGE.upper)];
    const room = bytes.length - PAGE_HEADER_BYTES;
    if (lower === 0 || lower % 2 !== 0 || lower > upper || upper > room) return null;
  }
  return { kind, number, transaction: bytes.readBigUInt64LE(PAGE.transaction), bytes };
}

/** Pages in a row that a run says it has. */
export function runPagesOf({ bytes }: Page): number {
  return bytes.readUInt32LE(PAGE.runPages);
}

export function childrenOf(page: Page): readonly (number | null)[] {
  return placesOf(page).map((at) => {
    if (at + ENTRY.headerBytes > page.bytes.length) return null;
    const low = page.bytes.readUInt16LE(at + ENTRY.low) + page.bytes.readUInt16LE(at + ENTRY.high) * 0x1_0000;
    return low + page.bytes.readUInt16LE(at + ENTRY.flags) * 0x1_0000_0000;
  });
}

export type CompareKeys = (a: Buffer, b: Buffer) => number;

const byBytes: CompareKeys = (a, b) => Buffer.compare(a, b);

/** The order of the keys of the list of free pages: they are numbers of transactions. */
export const byNumber: CompareKeys = (a, b) =>
  a.length === WORD_BYTES && b.length === WORD_BYTES && a.readBigUInt64LE(0) < b.readBigUInt64LE(0) ? -1 : 1;

/** Null for an entry that lies; keys ascend, so one that does not is one. */
export function entriesOf(page: Page, compare: CompareKeys = byBytes): readonly (LeafEntry | null)[] {
  let before: Buffer | null = null;
  return placesOf(page).map((at) => {
    const entry = entryAt(page.bytes, at);
    if (entry === null || (before !== null && compare(before, entry.key) >= 0)) return null;
    before = entry.key;
    return entry;
  });
}

/** Free pages side by side. */
export interface FreeRun {
  readonly first: number;
  readonly count: number;
}

/** The pages that one entry of the list of free pages names; null when it lies. */
export function freePagesOf(value: Buffer): readonly FreeRun[] | null {
  const words = value.length >= WORD_BYTES ? Number(value.readBigUInt64LE(0)) : Infinity;
  if ((words + 1) * WORD_BYTES > value.length) return null;
  const pages: FreeRun[] = [];
  for (let word = 1; word <= words; word += 1) {
    const number = Number(value.readBigInt64LE(word * WORD_BYTES));
    if (number > 0) pages.push({ first: number, count: 1 });
    else if (number < 0) {
      // So many from the page on that follows.
      word += 1;
      if (word > words) return null;
      pages.push({ first: Number(value.readBigInt64LE(word * WORD_BYTES)), count: -number });
    }
  }
  return pages;
}

function entryAt(bytes: Buffer, at: number): LeafEntry | null {
  if (at + ENTRY.headerBytes > bytes.length) return null;
  const valueBytes = bytes.readUInt16LE(at + ENTRY.low) + bytes.readUInt16LE(at + ENTRY.high) * 0x1_0000;
  const flags = bytes.readUInt16LE(at + ENTRY.flags);
  const keyEnd = at + ENTRY.headerBytes + bytes.readUInt16LE(at + ENTRY.keyBytes);
  const isBig = (flags & IS_BIG) !== 0;
  const end = keyEnd + (isBig ? BIG_BYTES : valueBytes);
  if (keyEnd === at + ENTRY.headerBytes || end > bytes.length || (flags & ~(IS_BIG | IS_TREE)) !== 0)
    return null;
  const key = bytes.subarray(at + ENTRY.headerBytes, keyEnd);
  const inline = isBig ? null : bytes.subarray(keyEnd, end);
  const run = isBig ? Number(bytes.readBigUInt64LE(keyEnd)) : 0;
  const isTree = (flags & IS_TREE) !== 0;
  if (!isTree) return { key, valueBytes, inline, run, tree: null };
  if (inline === null || inline.length !== TREE.bytes) return null;
  const tree = { root: inline.readBigUInt64LE(TREE.root), entries: inline.readBigUInt64LE(TREE.entries) };
  return { key, valueBytes, inline, run, tree };
}

function placesOf({ bytes }: Page): number[] {
  const count = bytes.readUInt16LE(PAGE.lower) / 2;
  return Array.from(
    { length: count },
    (_, index) => PAGE_HEADER_BYTES + bytes.readUInt16LE(PAGE_HEADER_BYTES + 2 * index),
  );
}

function kindOf(flags: number): Page['kind'] | null {
  switch (flags) {
    case BRANCH:
      return 'branch';
    case LEAF:
      return 'leaf';
    case OVERFLOW:
      return 'run';
    default:
      return null;
  }
}
