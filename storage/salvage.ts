// Makes a sound store of what a damaged one still holds. What is kept keeps its positions and ordinals; where something is
// missing, a mark stands for it; and nothing that may have been given out is given again.
import { statSync, statfsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { dirname } from 'node:path';
import { nodeDigest } from '../runtime/digest.ts';
import { TributaryError } from '../stream/errors.ts';
import { copiedKey, isCopyRow } from './meta-copy.ts';
import { decodeEntry } from './meta-entry.ts';
import { PageFile } from './page-file.ts';
import { ROW_TABLES } from './row-kind.ts';
import { laneAfter } from './salvage-lanes.ts';
import { SalvageSource } from './salvage-source.ts';
import { isWholeBlock, marksOf } from './salvage-shard.ts';
import { SALVAGE_ROOM_BYTES, SalvageTarget } from './salvage-target.ts';
import { ShardWalk } from './salvage-walk.ts';
import type { SalvagedShard } from './salvage-walk.ts';
import { birthKey, decodeBirth, encodeBirth, isBirth } from './shard-birth.ts';
import { blockKey, decodeLane, encodeLane, laneKey, laneOf, noOf } from './shard-keys.ts';
import { decodeShardRow, encodeShardRow } from './shard-row.ts';
import type { ShardRow } from './shard-row.ts';
import {
  FORMAT_KEY,
  FORMAT_VERSION,
  decodeFormat,
  encodeFormat,
  epochAfter,
  epochRow,
  fileRow,
  laterText,
} from './store-format.ts';
import type { LmdbLayout } from './store-format.ts';
import { readEnvelope, shardTag, unwrapBlock, wrapBlock, wrapLost } from './stored-block.ts';
import { laneHash } from './stored-block.ts';
import type { StreamCount } from './verify-report.ts';

const PROGRESS_BYTES = 8 * 1024 * 1024;
const SALVAGE_SCHEMA = 'tributary.log-salvage/1';

export interface SalvageReport {
  readonly schema: typeof SALVAGE_SCHEMA;
  readonly damagedFile: string;
  readonly salvagedFile: string;
  /** That can be read now. */
  readonly records: number;
  readonly bytes: number;
  /** Known to be missing, by what the counts of the others say. */
  readonly lostRecords: number;
  readonly streams: Readonly<Record<string, StreamCount>>;
  /** Rows of other tables that are missing, by the file's own books. */
  readonly lostRows: number;
  readonly notes: readonly string[];
}

export interface SalvageOptions {
  readonly damagedPath: string;
  /** Made anew; whole and on the disk when the report is there. */
  readonly targetPath: string;
  /** Of a store that does not say it any more. */
  readonly layout: LmdbLayout;
  readonly wallMs: number;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

/** Throws STORAGE_FULL when there is no room for a second file, STORAGE_FAILED when nothing of a store is in the first. */
export async function salvageStore(options: SalvageOptions): Promise<SalvageReport> {
  const { damagedPath, targetPath } = options;
  const file = PageFile.open(damagedPath);
  try {
    checkRoom(damagedPath, targetPath);
    const source = new SalvageSource(file);
    const salvage = new Salvage(source, options);
    return await salvage.run();
  } finally {
    file.close();
  }
}

class Salvage {
  readonly #source: SalvageSource;
  readonly #options: SalvageOptions;
  readonly #target: SalvageTarget;
  readonly #layout: LmdbLayout;
  readonly #oldRows = new Set<string>();
  readonly #streams = new Map<string, { records: number; lostRecords: number }>();
  readonly #notes: string[] = [];
  #bytes = 0;
  #damagedBlocks = 0;
  /** The newest of the map's entries. */
  #revision = 0n;

  constructor(source: SalvageSource, options: SalvageOptions) {
    this.#source = source;
    this.#options = options;
    this.#layout = source.layout ?? options.layout;
    this.#target = new SalvageTarget(options.targetPath, this.#layout);
  }

  async run(): Promise<SalvageReport> {
    await this.#collect();
    const epoch = this.#writeSystem();
    this.#repairShards(epoch);
    const lostRows = this.#lostRows();
    await this.#target.finish();
    return this.#report(lostRows);
  }

  async #collect(): Promise<void> {
    const total = this.#source.sizeBytes;
    let done = 0;
    let told = 0;
    for (const row of this.#source.rows((bytes) => (done = bytes))) {
      if (Math.abs(done - told) > PROGRESS_BYTES) {
        told = done;
        this.#options.onProgress?.(done, total);
        // A process that is told to end must hear it.
        await setImmediate();
      }
      if (row.kind === 'system' && row.key.equals(FORMAT_KEY))
        checkVersion(this.#options.damagedPath, row.value);
      if (row.kind === 'blocks' && !isWholeBlock(row.value, nodeDigest)) {
        this.#damagedBlocks += 1;
        continue;
      }
      if (row.kind === 'meta') this.#noteRevision(row.value);
      if (this.#target.offer(row)) this.#noteAge(row.kind, row.key, row.isOld);
    }
    this.#target.flush();
    this.#options.onProgress?.(total, total);
  }

  #noteRevision(value: Buffer): void {
    const { revision } = decodeEntry(value);
    if (revision > this.#revision) this.#revision = revision;
  }

  #noteAge(kind: string, key: Buffer, isOld: boolean): void {
    if (kind !== 'shards') return;
    if (isOld) this.#oldRows.add(key.toString());
    else this.#oldRows.delete(key.toString());
  }

  /** The epoch of the new store, later than any it has been in. */
  #writeSystem(): bigint {
    const rows = new Map(this.#target.rows('system').map(({ key, value }) => [key.toString(), value]));
    for (const name of rows.keys())
      if (name.startsWith('owner/')) this.#target.put('system', Buffer.from(name), null);
    const epochs = this.#shards().flatMap(({ row }) => row.epochs.map(({ epoch }) => epoch));
    const stored = BigInt(rows.get('epoch')?.toString() ?? '1');
    const newest = epochs.reduce((a, b) => (a > b ? a : b), stored);
    const epoch = epochAfter(newest, this.#options.wallMs);
    this.#bringBackRows();
    this.#bringBackCopies();
    this.#target.put('system', ...epochRow(epoch));
    this.#target.put('system', FORMAT_KEY, Buffer.from(encodeFormat(this.#layout)));
    this.#target.put('system', ...fileRow(this.#options.targetPath));
    const stamped = rows.get('revision')?.readBigUInt64BE() ?? 0n;
    const revision = stamped > this.#revision ? stamped : this.#revision;
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(revision);
    this.#target.put('system', Buffer.from('revision'), bytes);
    this.#target.flush();
    return epoch;
  }

  /** Rows of shards that are nowhere else any more, as they were when the shards were made. */
  #bringBackRows(): void {
    const known = new Set(this.#shards().map(({ row }) => row.no));
    const dropped = new Set(this.#target.rows('dropped').map(({ key }) => noOf(key)));
    const withBlocks = new Set(this.#target.shardNumbers());
    for (const birth of this.#target.rows('system').filter(({ key }) => isBirth(key))) {
      const { key, value } = decodeBirth(birth.value);
      const { no } = decodeShardRow(value);
      if (known.has(no) || dropped.has(no) || !withBlocks.has(no)) continue;
      this.#oldRows.add(key.toString());
      this.#target.put('shards', key, value);
    }
    this.#target.flush();
  }

  /** Entries of the map that are kept a second time. */
  #bringBackCopies(): void {
    const copies = this.#target.rows('system').filter(({ key }) => isCopyRow(key));
    for (const { key, value } of copies) {
      if (!this.#target.has('meta', copiedKey(key))) this.#target.put('meta', copiedKey(key), value);
    }
    this.#target.flush();
  }

  #shards(): { key: Buffer; row: ShardRow }[] {
    const dropped = new Set(this.#target.rows('dropped').map(({ key }) => noOf(key)));
    return this.#target
      .rows('shards')
      .map(({ key, value }) => ({ key, row: decodeShardRow(value) }))
      .filter(({ row }) => !dropped.has(row.no));
  }

  #repairShards(epoch: bigint): void {
    const shards = this.#shards();
    const byNo = new Map(shards.map((shard) => [shard.row.no, shard]));
    for (const no of this.#target.shardNumbers()) if (!byNo.has(no)) this.#dropBlocks(no);
    for (const { key } of this.#target.rows('dropped')) this.#target.put('dropped', key, null);
    for (const { key, value } of this.#target.rows('shards'))
      if (!byNo.has(decodeShardRow(value).no)) this.#target.put('shards', key, null);
    const lanes = this.#lanesByShard();
    for (const { key, row } of byNo.values()) {
      const salvaged = this.#repairShard(key, row, epoch);
      this.#repairLanes(key, salvaged, lanes, byNo);
    }
    for (const [no, names] of lanes)
      if (!byNo.has(no)) for (const lane of names.keys()) this.#target.put('lanes', laneKey(no, lane), null);
    this.#target.flush();
  }

  #repairShard(key: Buffer, row: ShardRow, epoch: bigint): SalvagedShard {
    this.#target.flush();
    const isOld = this.#oldRows.has(key.toString());
    const walk = new ShardWalk(row, shardTag(key.toString()), isOld);
    for (const block of this.#target.blocks(row.no)) walk.pass(block.key, block.value);
    const salvaged = walk.end(epoch);
    for (const refused of salvaged.refused) this.#target.put('blocks', refused, null);
    this.#writeMarks(key, salvaged);
    for (const mended of salvaged.mended) this.#mend(key, mended);
    this.#target.put('shards', key, Buffer.from(encodeShardRow(salvaged.row)));
    this.#target.put('system', birthKey(row.no), Buffer.from(encodeBirth(key, salvaged.row)));
    this.#target.flush();
    this.#count(key, salvaged);
    return salvaged;
  }

  #writeMarks(key: Buffer, { row, holes }: SalvagedShard): void {
    const tag = shardTag(key.toString());
    for (const hole of holes) {
      for (const { commit, records, bytes, ...mark } of marksOf(hole, row)) {
        const home = { shardNo: row.no, shardTag: tag, commit, laneHash: laneHash(undefined) };
        const stored = wrapLost({ ...mark, recordCount: records }, home, bytes);
        this.#target.put('blocks', blockKey(row.no, commit), Buffer.from(stored));
      }
    }
  }

  #mend(shard: Buffer, key: Buffer): void {
    const no = noOf(key);
    const stored = this.#target.block(no, key.readBigUInt64BE(4));
    if (stored === undefined) return;
    const home = {
      shardNo: no,
      shardTag: shardTag(shard.toString()),
      commit: key.readBigUInt64BE(4),
      laneHash: laneHash(undefined),
    };
    this.#target.put(
      'blocks',
      key,
      Buffer.from(wrapBlock(readEnvelope(stored), home, unwrapBlock(stored).block)),
    );
  }

  #lanesByShard(): Map<number, Map<string, Buffer>> {
    const lanes = new Map<number, Map<string, Buffer>>();
    for (const { key, value } of this.#target.rows('lanes')) {
      const names = lanes.get(noOf(key)) ?? new Map<string, Buffer>();
      names.set(laneOf(key), value);
      lanes.set(noOf(key), names);
    }
    return lanes;
  }

  #repairLanes(
    key: Buffer,
    { row, lanes: ends }: SalvagedShard,
    lanes: ReadonlyMap<number, ReadonlyMap<string, Buffer>>,
    shards: ReadonlyMap<number, { readonly key: Buffer; readonly row: ShardRow }>,
  ): void {
    const isKept = (commit: bigint): boolean => {
      const stored = this.#target.block(row.no, commit);
      return stored !== undefined && !readEnvelope(stored).isLost;
    };
    const parents = [...shards.values()].filter(
      (other) => other.row.no !== row.no && other.row.closed && streamOf(other.key) === streamOf(key),
    );
    for (const [lane, value] of lanes.get(row.no) ?? []) {
      const state = decodeLane(value);
      const after = laneAfter(lane, state, row, ends, isKept);
      if (after === state) continue;
      // What the shard began with came from a parent, which still says it.
      const earlier = parents
        .flatMap((parent) => lanes.get(parent.row.no)?.get(lane) ?? [])
        .map((stored) => decodeLane(stored))
        .filter(({ last }) => last < state.last)
        .toSorted((a, b) => Number(b.last - a.last))[0];
      const kept = after ?? earlier ?? null;
      this.#target.put('lanes', laneKey(row.no, lane), kept === null ? null : Buffer.from(encodeLane(kept)));
      this.#note(
        `lane ${lane} goes back from ordinal ${state.last} to ${kept?.last ?? 0n}: what came behind it is asked for again`,
      );
    }
  }

  #dropBlocks(no: number): void {
    const keys = [...this.#target.blocks(no)].map(({ key }) => key);
    for (const key of keys) this.#target.put('blocks', key, null);
    this.#note(
      `${keys.length} blocks of shard number ${no} are given up: the row that says which shard it is is missing`,
    );
  }

  #count(key: Buffer, { row, records, bytes, lostRecords, isStartUnknown }: SalvagedShard): void {
    const before = this.#streams.get(row.streamName) ?? { records: 0, lostRecords: 0 };
    this.#streams.set(row.streamName, {
      records: before.records + records,
      lostRecords: before.lostRecords + lostRecords,
    });
    this.#bytes += bytes;
    const shard = key.toString().replace('\0', '/');
    if (this.#oldRows.has(key.toString()))
      this.#note(`the row of shard ${shard} is an old one: what was trimmed since may be back`);
    if (isStartUnknown) this.#note(`the oldest records of shard ${shard} are missing; nobody knows how many`);
  }

  #lostRows(): number {
    // Rows of shards that are gone on purpose are no loss.
    const counts = ROW_TABLES.filter((kind) => kind !== 'dropped' && kind !== 'system');
    const booked = (kind: string): number =>
      this.#source.tables
        .filter((table) => table.kind === kind)
        .reduce((sum, table) => sum + table.booked, 0);
    return counts.reduce((sum, kind) => sum + Math.max(0, booked(kind) - this.#target.count(kind)), 0);
  }

  #note(text: string): void {
    this.#notes.push(text);
  }

  #report(lostRows: number): SalvageReport {
    const streams = [...this.#streams];
    const blocks = this.#damagedBlocks === 0 ? [] : [`${this.#damagedBlocks} blocks were found damaged`];
    return {
      schema: SALVAGE_SCHEMA,
      damagedFile: this.#options.damagedPath,
      salvagedFile: this.#options.targetPath,
      records: streams.reduce((sum, [, { records }]) => sum + records, 0),
      bytes: this.#bytes,
      lostRecords: streams.reduce((sum, [, { lostRecords }]) => sum + lostRecords, 0),
      streams: Object.fromEntries(streams),
      lostRows,
      notes: [...this.#source.notes, ...blocks, ...this.#notes],
    };
  }
}

function checkVersion(path: string, value: Buffer): void {
  const format = decodeFormat(value);
  if (format.version > FORMAT_VERSION) throw new TributaryError('CONFIG_INVALID', laterText(path, format));
}

const MIB = 1024 * 1024;

/** The second file is at most as long as the first, and a little for the new tables. */
function checkRoom(damagedPath: string, targetPath: string): void {
  const needed = statSync(damagedPath).size * 1.1 + SALVAGE_ROOM_BYTES;
  const { bavail, bsize } = statfsSync(dirname(targetPath));
  if (bavail * bsize >= needed) return;
  throw new TributaryError(
    'STORAGE_FULL',
    `the disk of ${dirname(targetPath)} has no room for a second file beside the damaged one: nothing was changed, make ${Math.ceil(needed / MIB)} MiB free, or salvage to another disk: tributary log salvage ${damagedPath} --to FILE`,
  );
}

function streamOf(key: Buffer): string {
  return key.toString().split('\0', 1)[0] ?? '';
}
