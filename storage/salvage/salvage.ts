// Makes a sound store of what a damaged one still holds. What is kept keeps its positions and ordinals; where something is
// missing, a mark stands for it; and nothing that may have been given out is given again.
import { statSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { nodeCodecs } from '../../runtime/codecs.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { TributaryError } from '../../stream/errors.ts';
import { PageFile } from '../pages/page-file.ts';
import { ROW_TABLES } from '../pages/row-kind.ts';
import { ShardRepair } from './salvage-repair.ts';
import { SalvagedRows } from './salvage-rows.ts';
import { isWholeBlock } from './salvage-shard.ts';
import { SalvageSource } from './salvage-source.ts';
import { SALVAGE_ROOM_BYTES, SalvageTarget } from './salvage-target.ts';
import { FORMAT_KEY, FORMAT_VERSION, decodeFormat, laterText } from '../lmdb/store-format.ts';
import type { LmdbLayout } from '../lmdb/store-format.ts';
import type { StreamCount } from '../verify/verify-report.ts';

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
  readonly #rows: SalvagedRows;
  #damagedBlocks = 0;

  constructor(source: SalvageSource, options: SalvageOptions) {
    this.#source = source;
    this.#options = options;
    this.#layout = source.layout ?? options.layout;
    this.#target = new SalvageTarget(options.targetPath, this.#layout);
    this.#rows = new SalvagedRows(this.#target);
  }

  async run(): Promise<SalvageReport> {
    const { targetPath, wallMs } = this.#options;
    await this.#collect();
    const epoch = this.#rows.write(targetPath, this.#layout, wallMs);
    const repair = new ShardRepair(this.#target, epoch);
    repair.repair(this.#rows.shards());
    const lostRows = this.#lostRows();
    await this.#target.finish();
    return this.#report(repair, lostRows);
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
      if (row.kind === 'blocks' && !isWholeBlock(row.value, nodeDigest, nodeCodecs)) {
        this.#damagedBlocks += 1;
        continue;
      }
      this.#rows.offer(row);
    }
    this.#target.flush();
    this.#options.onProgress?.(total, total);
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

  #report({ streams, bytes, notes }: ShardRepair, lostRows: number): SalvageReport {
    const blocks = this.#damagedBlocks === 0 ? [] : [`${this.#damagedBlocks} blocks were found damaged`];
    const counts = [...streams.values()];
    return {
      schema: SALVAGE_SCHEMA,
      damagedFile: this.#options.damagedPath,
      salvagedFile: this.#options.targetPath,
      records: counts.reduce((sum, { records }) => sum + records, 0),
      bytes,
      lostRecords: counts.reduce((sum, { lostRecords }) => sum + lostRecords, 0),
      streams: Object.fromEntries(streams),
      lostRows,
      notes: [...this.#source.notes, ...blocks, ...notes],
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
