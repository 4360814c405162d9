// What is in a store file, told from its pages: of a program's store while it runs, and of a damaged one. It changes
// nothing and asks nobody.
import { parseHeader } from '../../stream/block-header.ts';
import { isSealed } from '../seal/sealed-block.ts';
import { readFreeList } from './free-list.ts';
import { decodeEntry } from '../meta-entry.ts';
import { PageFile } from './page-file.ts';
import type { RootPage } from './page-file.ts';
import { PageTrees } from './page-tree.ts';
import type { TreeEntry } from './page-tree.ts';
import { epochAt } from '../lmdb/shard-epochs.ts';
import { commitOf, decodeLane, laneOf, noOf, refOf } from '../shard-keys.ts';
import { decodeShardRow, lostFrom } from '../lmdb/shard-row.ts';
import type { ShardRow } from '../lmdb/shard-row.ts';
import { FORMAT_KEY, decodeFormat } from '../lmdb/store-format.ts';
import type { StoreFormat } from '../lmdb/store-format.ts';
import { readEnvelope, unwrapBlock } from '../lmdb/stored-block.ts';
import type { ReadEnvelope } from '../lmdb/stored-block.ts';

const INSPECT_SCHEMA = 'tributary.log-inspect/1';
const ATTEMPTS_MAX = 5;
const DAMAGE_MAX = 100;

export interface InspectedLane {
  readonly lane: string;
  readonly last: string;
}

export interface InspectedShard {
  readonly stream: string;
  readonly streamId: string;
  readonly shardId: string;
  readonly closed: boolean;
  readonly epoch: string;
  /** null: for ever. */
  readonly retentionMs: number | null;
  readonly blocks: number;
  /** Ordinals in the shard of what can be read; null when nothing can be. */
  readonly firstOrdinal: number | null;
  readonly lastOrdinal: number | null;
  readonly records: number;
  readonly bytes: number;
  readonly lostRecords: number;
  /** When the oldest and the newest block were written, by the clock of who wrote them; null when it is sealed. */
  readonly oldestMs: number | null;
  readonly newestMs: number | null;
  readonly lanes: readonly InspectedLane[];
}

export interface InspectReport {
  readonly schema: typeof INSPECT_SCHEMA;
  readonly file: string;
  readonly fileBytes: number;
  readonly format: StoreFormat | null;
  readonly transaction: string | null;
  readonly pages: number;
  readonly freePages: number | null;
  readonly shards: readonly InspectedShard[];
  /** Entries of the map that the caller asked for. */
  readonly meta: Readonly<Record<string, string>>;
  readonly damage: readonly string[];
}

/** `metaPrefixes`: of the entries of the map that are wanted. */
export function inspectStore(path: string, metaPrefixes: readonly string[]): InspectReport {
  return PageFile.read(path, (file) => {
    for (let attempt = 1; ; attempt += 1) {
      const [root] = file.roots;
      const report = new Inspection(path, file, root ?? null, metaPrefixes).report();
      // A program that writes may have used the pages again since.
      const isStill = file.roots[0]?.transaction === root?.transaction;
      if (report.damage.length === 0 || isStill || attempt === ATTEMPTS_MAX) return report;
    }
  });
}

interface Ends {
  count: number;
  readonly first: TreeEntry;
  last: TreeEntry;
}

class Inspection {
  readonly #path: string;
  readonly #file: PageFile;
  readonly #root: RootPage | null;
  readonly #metaPrefixes: readonly string[];
  readonly #trees: PageTrees;
  readonly #damage: string[] = [];
  readonly #blocks = new Map<number, Ends>();
  readonly #lanes = new Map<number, InspectedLane[]>();
  readonly #rows: { readonly key: Buffer; readonly row: ShardRow }[] = [];
  readonly #meta: Record<string, string> = {};
  #format: StoreFormat | null = null;

  constructor(path: string, file: PageFile, root: RootPage | null, metaPrefixes: readonly string[]) {
    this.#path = path;
    this.#file = file;
    this.#root = root;
    this.#metaPrefixes = metaPrefixes;
    this.#trees = new PageTrees(file, (text) => this.#tell(text));
  }

  report(): InspectReport {
    const root = this.#root;
    if (this.#file.roots.length < 2)
      this.#tell(`${2 - this.#file.roots.length} of the 2 root pages cannot be read`);
    const free = root === null ? null : readFreeList(this.#file, root);
    if (free !== null && free.damage !== null) this.#tell(free.damage);
    if (root !== null) for (const table of this.#trees.entries(root.mainRoot)) this.#table(table);
    return {
      schema: INSPECT_SCHEMA,
      file: this.#path,
      fileBytes: this.#file.sizeBytes,
      format: this.#format,
      transaction: root === null ? null : root.transaction.toString(),
      pages: this.#trees.pages,
      freePages: free?.count ?? null,
      shards: this.#rows.map(({ key, row }) => this.#shard(key, row)),
      meta: this.#meta,
      damage: this.#damage,
    };
  }

  #table({ key, tree }: TreeEntry): void {
    if (tree === null) return;
    const name = key.toString('utf8', 0, key.length - 1);
    let reached = 0;
    for (const entry of this.#trees.entries(tree.root)) {
      reached += 1;
      try {
        this.#entry(name, entry);
      } catch {
        this.#tell(`a row of the table ${name} is damaged`);
      }
    }
    if (reached !== Number(tree.entries))
      this.#tell(
        `the table ${name} has ${tree.entries} rows by the file's own books, ${reached} can be reached`,
      );
  }

  #entry(table: string, entry: TreeEntry): void {
    const key = Buffer.from(entry.key);
    if (table === 'log' || table.startsWith('log/')) return this.#block(entry);
    const value = this.#trees.valueOf(entry);
    if (value === null) return;
    if (table === 'system' && key.equals(FORMAT_KEY)) this.#format = decodeFormat(value);
    else if (table === 'shards') this.#rows.push({ key, row: decodeShardRow(value) });
    else if (table === 'lanes') {
      const lanes = this.#lanes.get(noOf(key)) ?? [];
      lanes.push({ lane: laneOf(key), last: decodeLane(value).last.toString() });
      this.#lanes.set(noOf(key), lanes);
    } else if (table === 'meta') {
      const { key: name, value: text } = decodeEntry(value);
      if (this.#metaPrefixes.some((prefix) => name.startsWith(prefix)))
        this.#meta[name] = Buffer.from(text).toString();
    }
  }

  #block(entry: TreeEntry): void {
    const no = noOf(entry.key);
    const ends = this.#blocks.get(no);
    if (ends === undefined) this.#blocks.set(no, { count: 1, first: entry, last: entry });
    else {
      ends.count += 1;
      ends.last = entry;
    }
  }

  #shard(key: Buffer, row: ShardRow): InspectedShard {
    const { streamId, shardId } = refOf(key);
    const ends = this.#blocks.get(row.no);
    const first = ends === undefined ? null : this.#envelope(ends.first);
    const last = ends === undefined ? null : this.#envelope(ends.last);
    const lost = lostFrom(row, ends === undefined ? row.first : commitOf(ends.first.key));
    const before = first === null ? 0 : first.cumulativeRecords - first.recordCount;
    const beforeBytes = first === null ? 0 : first.cumulativeBytes - first.blockBytes;
    const next = ends === undefined ? row.next : commitOf(ends.last.key) + 1n;
    return {
      stream: row.streamName,
      streamId,
      shardId,
      closed: row.closed,
      epoch: epochAt(row.epochs, next).toString(),
      retentionMs: row.retentionMs === Infinity ? null : row.retentionMs,
      blocks: ends?.count ?? 0,
      firstOrdinal: first === null ? null : before + 1,
      lastOrdinal: last?.cumulativeRecords ?? null,
      records: first === null || last === null ? 0 : last.cumulativeRecords - before - lost.records,
      bytes: first === null || last === null ? 0 : last.cumulativeBytes - beforeBytes - lost.bytes,
      lostRecords: row.lostRecords,
      oldestMs: this.#writtenMs(ends?.first),
      newestMs: this.#writtenMs(ends?.last),
      lanes: this.#lanes.get(row.no) ?? [],
    };
  }

  /** Arrival times stand still while a gateway does not run: they tell an age, not a date. */
  #writtenMs(entry: TreeEntry | undefined): number | null {
    try {
      const value = entry === undefined ? null : this.#trees.valueOf(entry);
      if (value === null || readEnvelope(value).isLost) return null;
      const { block } = unwrapBlock(value);
      return isSealed(block) ? null : parseHeader(block).wallBaseMs;
    } catch {
      // Told where its envelope is read.
      return null;
    }
  }

  #envelope(entry: TreeEntry): ReadEnvelope | null {
    try {
      const value = this.#trees.valueOf(entry);
      return value === null ? null : readEnvelope(value);
    } catch {
      this.#tell(`block ${commitOf(entry.key)} of shard number ${noOf(entry.key)} is damaged`);
      return null;
    }
  }

  #tell(text: string): void {
    if (this.#damage.length < DAMAGE_MAX) this.#damage.push(text);
  }
}
