// Everything that a damaged store file still holds: first what its trees lead to, then what lies on pages that no tree
// leads to any more. It reads; what counts is decided by who writes the new store.
import { readFreeList } from '../pages/free-list.ts';
import type { FreeList } from '../pages/free-list.ts';
import { ROOT_PAGES } from '../pages/page-file.ts';
import type { PageFile, RootPage } from '../pages/page-file.ts';
import { PAGE_HEADER_BYTES, runPagesOf } from '../pages/page-entries.ts';
import type { LeafEntry, Page } from '../pages/page-entries.ts';
import { PageTrees } from '../pages/page-tree.ts';
import type { TreeEntry } from '../pages/page-tree.ts';
import { ROW_TABLES, kindOfRow } from '../pages/row-kind.ts';
import type { RowKind } from '../pages/row-kind.ts';
import { blockKey } from '../shard-keys.ts';
import type { LmdbLayout } from '../lmdb/store-format.ts';
import { homeOf, storedLengthOf } from '../lmdb/stored-block.ts';

export interface FoundRow {
  readonly kind: RowKind;
  readonly key: Buffer;
  readonly value: Buffer;
  /** That wrote it, or a row beside it: of two rows with one key the newer counts. */
  readonly transaction: bigint;
  /** From a page that is free, or may be: it was perhaps replaced or deleted since. */
  readonly isOld: boolean;
}

export interface TableCount {
  readonly kind: RowKind;
  readonly booked: number;
  reached: number;
}

interface NamedTable {
  readonly name: string;
  readonly entry: TreeEntry;
}

/** Rows of these are looked for on free pages, too, when some are missing: an old one is better than none. */
const KINDS_WANTED_OLD: readonly RowKind[] = ['shards', 'lanes'];
const NOTES_MAX = 100;

export class SalvageSource {
  readonly #file: PageFile;
  readonly #trees: PageTrees;
  readonly #root: RootPage | null;
  /** Pages of a transaction that never finished do not count. */
  readonly #newest: bigint;
  readonly #isRootLost: boolean;
  readonly #main: readonly NamedTable[];
  readonly #damaged = new Set<RowKind>();
  readonly tables: TableCount[] = [];
  readonly notes: string[] = [];
  #hasDamage = false;
  #hasTableDamage = false;
  #isMainDamaged = false;

  constructor(file: PageFile) {
    this.#file = file;
    this.#trees = new PageTrees(file, (text) => this.#damage(text));
    const { roots } = file;
    this.#root = roots[0] ?? null;
    this.#isRootLost = roots.length < 2;
    // Where one root is lost it may have been the newer one, and its transaction the one behind the other's.
    this.#newest = this.#root === null ? 1n << 63n : this.#root.transaction + (this.#isRootLost ? 1n : 0n);
    if (this.#isRootLost) this.#damage(`${2 - roots.length} of the 2 root pages cannot be read`);
    this.#main = this.#root === null ? [] : this.#tables(this.#root);
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  /** By the names of its tables; null when they cannot be read. */
  get layout(): LmdbLayout | null {
    const names = this.#main.map(({ name }) => name);
    if (names.includes('log')) return 'shared';
    return names.some((name) => name.startsWith('log/')) ? 'perShard' : null;
  }

  /** `onBytes` is told how many bytes of the file were looked at, about. */
  *rows(onBytes: (bytes: number) => void): Generator<FoundRow> {
    yield* this.#reachable(onBytes);
    if (!this.#hasDamage) return;
    const free = this.#root === null ? null : readFreeList(this.#file, this.#root);
    if (free !== null && free.damage !== null) this.#note(free.damage);
    yield* this.#unreached(free, onBytes);
  }

  *#reachable(onBytes: (bytes: number) => void): Generator<FoundRow> {
    let bytes = 0;
    for (const { name, entry } of this.#main) {
      const kind = kindOfTable(name);
      if (kind === null || entry.tree === null) continue;
      const table = { kind, booked: Number(entry.tree.entries), reached: 0 };
      this.tables.push(table);
      this.#hasTableDamage = false;
      for (const row of this.#trees.entries(entry.tree.root)) {
        const value = this.#trees.valueOf(row);
        if (value === null || !this.#isRowOf(kind, row.key, value)) continue;
        this.#trees.own(row);
        table.reached += 1;
        bytes += row.key.length + value.length;
        onBytes(bytes);
        yield { kind, key: Buffer.from(row.key), value, transaction: row.transaction, isOld: false };
      }
      if (this.#hasTableDamage || table.reached !== table.booked) {
        this.#hasDamage = true;
        this.#damaged.add(kind);
      }
    }
  }

  /** What is on a page may be whole though the entry that leads to it is not. */
  #isRowOf(kind: RowKind, key: Buffer, value: Buffer): boolean {
    if (kindOfRow(key, value) === kind) return true;
    this.#damage(`a row of the table ${kind} is damaged`);
    return false;
  }

  #tables(root: RootPage): NamedTable[] {
    this.#hasTableDamage = false;
    const tables = [...this.#trees.entries(root.mainRoot)].map((entry) => ({
      name: entry.key.toString('utf8', 0, entry.key.length - 1),
      entry,
    }));
    this.#isMainDamaged = this.#hasTableDamage || BigInt(tables.length) !== root.mainEntries;
    if (this.#isMainDamaged) this.#hasDamage = true;
    return tables;
  }

  *#unreached(free: FreeList | null, onBytes: (bytes: number) => void): Generator<FoundRow> {
    const known = free !== null && free.damage === null ? free.pages : null;
    for (const page of this.#pages()) {
      onBytes(page.number * page.bytes.length);
      if (this.#trees.reached.has(page.number) || page.transaction > this.#newest) continue;
      // What was free for the root that is left may have been used by the one that is lost.
      const isFree = (known?.has(page.number) ?? false) && !this.#isOfLostRoot(page.transaction);
      const rows = page.kind === 'leaf' ? this.#leaf(page, isFree) : isFree ? [] : this.#run(page);
      for (const row of rows) {
        if (this.#counts(row)) yield { ...row, isOld: isFree || known === null };
      }
    }
  }

  #isOfLostRoot(transaction: bigint): boolean {
    return this.#isRootLost && this.#root !== null && transaction > this.#root.transaction;
  }

  /** What a whole table does not have was deleted. */
  #counts({ kind, transaction }: Omit<FoundRow, 'isOld'>): boolean {
    if (this.#root === null || this.#damaged.has(kind)) return true;
    if (this.#isOfLostRoot(transaction)) return true;
    const isKnown = this.tables.some((table) => table.kind === kind);
    return this.#isMainDamaged && (kind === 'blocks' || !isKnown);
  }

  /** Of a free page only what is wanted though it is old. */
  *#leaf(page: Page, isFree: boolean): Generator<Omit<FoundRow, 'isOld'>> {
    for (const entry of this.#trees.entriesOn(page)) {
      if (entry.tree !== null || !this.#mayBeValue(entry)) continue;
      const value = this.#trees.valueOf(entry);
      const kind = value === null ? null : kindOfRow(entry.key, value);
      if (value === null || kind === null) continue;
      if (isFree && !KINDS_WANTED_OLD.includes(kind)) continue;
      this.#trees.own(entry);
      yield { kind, key: Buffer.from(entry.key), value, transaction: page.transaction };
    }
  }

  /** The pages of an old entry may hold something else by now: that is no damage. */
  #mayBeValue(entry: LeafEntry): boolean {
    return entry.inline !== null || this.#trees.page(entry.run)?.kind === 'run';
  }

  /** A block that says itself where it belongs, when the page that led to it is gone. */
  *#run(page: Page): Generator<Omit<FoundRow, 'isOld'>> {
    if (page.kind !== 'run') return;
    const head = page.bytes.subarray(PAGE_HEADER_BYTES);
    const home = homeOf(head);
    if (home === null) return;
    const length = storedLengthOf(head);
    const at = page.number * page.bytes.length + PAGE_HEADER_BYTES;
    const stored = length === null ? null : this.#file.bytes(at, length);
    if (stored === null) return;
    this.#trees.reached.add(page.number, runPagesOf(page));
    yield {
      kind: 'blocks',
      key: blockKey(home.shardNo, home.commit),
      value: stored,
      transaction: page.transaction,
    };
  }

  *#pages(): Generator<Page> {
    for (let number = ROOT_PAGES; number < this.#trees.pages; number += 1) {
      if (this.#trees.reached.has(number)) continue;
      const page = this.#trees.page(number);
      if (page !== null) yield page;
    }
  }

  #damage(text: string): void {
    this.#hasDamage = true;
    this.#hasTableDamage = true;
    this.#note(text);
  }

  #note(text: string): void {
    if (this.notes.length < NOTES_MAX) this.notes.push(text);
  }
}

function kindOfTable(name: string): RowKind | null {
  const rows = ROW_TABLES.find((table) => table === name);
  if (rows !== undefined) return rows;
  return name === 'log' || name.startsWith('log/') ? 'blocks' : null;
}
