// The rows of a salvaged store beside its blocks: what the pages gave, completed by what is kept a second time.
import { copiedKey, isCopyRow } from '../meta-copy.ts';
import { decodeEntry } from '../meta-entry.ts';
import type { FoundRow } from './salvage-source.ts';
import type { SalvageTarget } from './salvage-target.ts';
import { decodeBirth, isBirth } from '../lmdb/shard-birth.ts';
import { noOf } from '../shard-keys.ts';
import { decodeShardRow } from '../lmdb/shard-row.ts';
import type { ShardRow } from '../lmdb/shard-row.ts';
import { FORMAT_KEY, encodeFormat, epochAfter, epochRow, fileRow } from '../lmdb/store-format.ts';
import type { LmdbLayout } from '../lmdb/store-format.ts';

export interface ShardFound {
  readonly key: Buffer;
  readonly row: ShardRow;
  /** What it says of the start and the end is not what was there at last. */
  readonly isOld: boolean;
}

export class SalvagedRows {
  readonly #target: SalvageTarget;
  /** Keys of shards. */
  readonly #old = new Set<string>();
  /** The newest of the map's entries. */
  #revision = 0n;

  constructor(target: SalvageTarget) {
    this.#target = target;
  }

  offer(row: FoundRow): void {
    if (row.kind === 'meta') {
      const { revision } = decodeEntry(row.value);
      if (revision > this.#revision) this.#revision = revision;
    }
    if (!this.#target.offer(row) || row.kind !== 'shards') return;
    if (row.isOld) this.#old.add(row.key.toString());
    else this.#old.delete(row.key.toString());
  }

  /** The epoch of the new store, later than any it has been in. */
  write(path: string, layout: LmdbLayout, wallMs: number): bigint {
    this.#bringBackRows();
    this.#bringBackCopies();
    const rows = new Map(this.#target.rows('system').map(({ key, value }) => [key.toString(), value]));
    for (const name of rows.keys())
      if (name.startsWith('owner/')) this.#target.put('system', Buffer.from(name), null);
    const epochs = this.shards().flatMap(({ row }) => row.epochs.map(({ epoch }) => epoch));
    const stored = BigInt(rows.get('epoch')?.toString() ?? '1');
    const newest = epochs.reduce((a, b) => (a > b ? a : b), stored);
    const epoch = epochAfter(newest, wallMs);
    this.#target.put('system', ...epochRow(epoch));
    this.#target.put('system', FORMAT_KEY, Buffer.from(encodeFormat(layout)));
    this.#target.put('system', ...fileRow(path));
    const stamped = rows.get('revision')?.readBigUInt64BE() ?? 0n;
    const revision = stamped > this.#revision ? stamped : this.#revision;
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(revision);
    this.#target.put('system', Buffer.from('revision'), bytes);
    this.#target.flush();
    return epoch;
  }

  /** Those that were not dropped. */
  shards(): ShardFound[] {
    const dropped = new Set(this.#target.rows('dropped').map(({ key }) => noOf(key)));
    return this.#target
      .rows('shards')
      .map(({ key, value }) => ({
        key,
        row: decodeShardRow(value),
        isOld: this.#old.has(key.toString()),
      }))
      .filter(({ row }) => !dropped.has(row.no));
  }

  /** Rows of shards that are nowhere else any more, as they were when the shards were made. */
  #bringBackRows(): void {
    const known = new Set(this.shards().map(({ row }) => row.no));
    const dropped = new Set(this.#target.rows('dropped').map(({ key }) => noOf(key)));
    const withBlocks = new Set(this.#target.shardNumbers());
    for (const birth of this.#target.rows('system').filter(({ key }) => isBirth(key))) {
      const { key, value } = decodeBirth(birth.value);
      const { no } = decodeShardRow(value);
      if (known.has(no) || dropped.has(no) || !withBlocks.has(no)) continue;
      this.#old.add(key.toString());
      this.#target.put('shards', key, value);
    }
    this.#target.flush();
  }

  /** Entries of the map that are kept a second time, unless they are there and not older. */
  #bringBackCopies(): void {
    const copies = this.#target.rows('system').filter(({ key }) => isCopyRow(key));
    for (const copy of copies) {
      const key = copiedKey(copy.key);
      const entry = this.#target.row('meta', key);
      if (entry === undefined || decodeEntry(entry).revision < decodeEntry(copy.value).revision)
        this.#target.put('meta', key, copy.value);
    }
    this.#target.flush();
  }
}
