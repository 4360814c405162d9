// The embedded engine: one LMDB file holds the log and the map, one process owns it.
import { setInterval } from 'node:timers';
import type { Clock, Log, MetaEntry, Store } from '../../stream/ports.ts';
import { COMMIT_MS_MAX, Committer, LAZY_MS } from './committer.ts';
import type { Table } from './batch.ts';
import { LmdbEngine } from './lmdb-engine.ts';
import { LmdbMeta } from './lmdb-meta.ts';
import { AGE_NOTED_MS, LmdbShardLog } from './lmdb-shard-log.ts';
import { listStored } from '../meta-list.ts';
import type { LogCensus, LogTables } from './shard-registry.ts';
import { makeStoreFile } from './new-store-file.ts';
import { damagedStore, openingError } from './storage-error.ts';
import { backUpStore } from './format-migration.ts';
import {
  FORMAT_KEY,
  FORMAT_VERSION,
  checkFormat,
  encodeFormat,
  epochAfter,
  epochOf,
  epochRow,
  fileRow,
  isCopy,
  isNoted,
} from './store-format.ts';
import type { LmdbLayout } from './store-format.ts';
import { beforeOpening } from './before-opening.ts';
import { forgetWentBack } from './went-back.ts';
import { copiedOf, mendCopies, rememberCopied } from './copy-mending.ts';
import { LANE_BIRTH, birthKey, encodeBirth, laneBirthKey } from './shard-birth.ts';
import { decodeShardRow } from './shard-row.ts';
import { claimStore } from './store-owner.ts';
import { probeStore, rememberClosed } from '../verify/store-probe.ts';

export type { LmdbLayout } from './store-format.ts';

export interface LmdbOptions {
  /** The file; its name ends in `.mdb`. */
  readonly path: string;
  readonly clock: Clock;
  /** Fixed when the file is made. */
  readonly layout?: LmdbLayout;
  /** Size the file may have: a commit that would make it larger is refused with STORAGE_FULL. Default: any. */
  readonly capBytes?: number;
  /**
   * What records get older by. `wall`: the clock. `running`: the time the program runs, for a machine that is switched off
   * for weeks and has no clock of its own.
   */
  readonly ageBy?: 'wall' | 'running';
  /** How often what expired in idle shards is deleted. */
  readonly sweepMs?: number;
  /** How long a clock that stepped ahead must keep its time before anything is deleted by it. */
  readonly clockConfirmMs?: number;
  readonly lazyMs?: number;
  readonly commitMsMax?: number;
  /**
   * Starts of the keys of the map whose entries are kept a second time, on another page. The store remembers them: whoever
   * opens it later need not name them.
   */
  readonly copied?: readonly string[];
  /** Told when the format is brought up to date, and when the file turns out to be a copy. */
  readonly log?: Log;
  /** Looks at rows of the map before anything is written; what it throws leaves the file as it is. */
  readonly admit?: (list: (prefix: string) => Iterable<MetaEntry>) => Promise<void>;
}

const SWEEP_MS = 60_000;
/** How far the running time has come, noted so often: a log nobody writes to gets older, too. */
const AGE_KEY = 'age/running-ms';
const FIRST_KEY = Buffer.of(0);
/** Far more than a store of format 1 can have. */
const ROWS_MAX = 1_000_000;

/**
 * Throws BUSY while another process has the store open, CONFIG_INVALID when it was made with another layout or this user has
 * no right to it, STORAGE_FAILED when it is damaged, STORAGE_FULL when the disk has no room for even the row that says who has it open.
 */
export async function openLmdbStore(options: LmdbOptions): Promise<Store> {
  // Asked first: whoever opens the store changes the answer.
  const isOlder = beforeOpening(options.path, 'write');
  await probeStore(options.path);
  const engine = await openEngine(options.path, options.capBytes);
  const committer = new Committer(engine, {
    commitMsMax: options.commitMsMax ?? COMMIT_MS_MAX,
    lazyMs: options.lazyMs ?? LAZY_MS,
  });
  try {
    checkTables(engine, options.path);
    await options.admit?.(metaRows(engine));
    return await openParts(engine, committer, options, isOlder);
  } catch (error) {
    await engine.close();
    throw openingError(options.path, error);
  }
}

async function openEngine(path: string, capBytes: number | undefined): Promise<LmdbEngine> {
  try {
    await makeStoreFile(path);
    return new LmdbEngine(path, capBytes);
  } catch (error) {
    throw openingError(path, error);
  }
}

async function openParts(
  engine: LmdbEngine,
  committer: Committer,
  options: LmdbOptions,
  isOlder: boolean,
): Promise<Store> {
  const { path, clock, layout = 'shared' } = options;
  const system = engine.table('system');
  // A table is opened before the transaction that reads it.
  const old = oldTables(engine);
  const owner = engine.alone(() => claim(system, old, options, layout));
  engine.fence('system', owner);
  const prefixes = copiedOf(system);
  const metaTable = engine.table('meta');
  const meta = new LmdbMeta(committer, metaTable, system, prefixes);
  const log = new LmdbShardLog(committer, logTables(engine, layout), meta, clock, options.clockConfirmMs);
  log.load(epochOf(system), options.ageBy === 'running' ? notedAge(await meta.get(AGE_KEY)) : null);
  checkCounts(engine, path, log.census(), layout);
  // Behind the first commit: a copy that nobody has changed yet may not be told from one whose birth nobody knows.
  if (isCopy(system, path) || isOlder) engine.alone(() => goOnAsCopy(system, log, options, layout));
  else if (!isNoted(system, path)) engine.alone(() => void system.put(...fileRow(path)));
  // The epoch is on the disk now.
  forgetWentBack(path);
  log.resume();
  const metaRows = engine.entryCount('meta');
  if (!(await mendCopies({ committer, meta: metaTable, metaRows, system, prefixes })))
    options.log?.notice('no room to bring second copies up to date: the next start tries again', { path });
  let notedMs = log.nowMs();
  if (options.ageBy === 'running') meta.putLazy(AGE_KEY, Buffer.from(`${notedMs}`));
  const sweeps = setInterval(() => {
    if (committer.stopped !== null) return;
    log.sweep();
    if (options.ageBy !== 'running' || log.nowMs() - notedMs < AGE_NOTED_MS) return;
    notedMs = log.nowMs();
    meta.putLazy(AGE_KEY, Buffer.from(`${notedMs}`));
  }, options.sweepMs ?? SWEEP_MS).unref();
  return {
    log,
    meta,
    usage: () => ({
      fileBytes: engine.fileBytes(),
      liveBytes: engine.liveBytes(),
      lostRecords: log.lostRecords,
    }),
    writtenBytes: () => engine.writtenBytes(),
    nowMs: () => log.nowMs(),
    close: async () => {
      clearInterval(sweeps);
      log.close();
      meta.close();
      await committer.close();
      await engine.close();
      rememberClosed(path);
    },
  };
}

function notedAge(entry: MetaEntry | null): number {
  const notedMs = entry === null ? Number.NaN : Number(Buffer.from(entry.value).toString());
  return Number.isFinite(notedMs) ? notedMs : -Infinity;
}

interface OldTables {
  readonly shards: Table;
  readonly lanes: Table;
}

/** Of a new store there are none: nothing else is made before the format is written. */
function oldTables(engine: LmdbEngine): OldTables | null {
  const isOld = ['shards', 'lanes'].every((name) => engine.hasTable(name));
  return isOld ? { shards: engine.table('shards'), lanes: engine.table('lanes') } : null;
}

/** All or nothing: a file of an earlier format is not changed before there is a copy of it. */
function claim(system: Table, old: OldTables | null, options: LmdbOptions, layout: LmdbLayout): Buffer {
  const { path, log } = options;
  const format = checkFormat(system, path, layout);
  const owner = claimStore(system, path);
  rememberCopied(system, options.copied ?? []);
  if (format?.version === FORMAT_VERSION) return owner;
  const backup = format === null ? null : backUpStore(path, format.version);
  void system.put(FORMAT_KEY, encodeFormat(layout));
  if (old !== null) keepTwice(system, old);
  if (backup !== null)
    log?.notice('store brought to a new format', { path, from: format?.version, to: FORMAT_VERSION, backup });
  return owner;
}

/** Of what format 1 had once, what cannot be copied later: shards and lanes may be gone by then. */
function keepTwice(system: Table, { shards, lanes }: OldTables): void {
  for (const key of lanes.keys(FIRST_KEY, ROWS_MAX)) void system.put(laneBirthKey(key), LANE_BIRTH);
  for (const { key, value } of shards.range(FIRST_KEY, ROWS_MAX)) {
    const row = decodeShardRow(value);
    void system.put(birthKey(row.no), encodeBirth(Buffer.from(key), row));
  }
}

/**
 * What the original has given out since is not known here: no position of it must be given again. At the edge nobody keeps
 * positions, and runs tell histories apart.
 */
function goOnAsCopy(
  system: Table,
  shards: LmdbShardLog,
  { path, clock, log }: LmdbOptions,
  layout: LmdbLayout,
): void {
  void system.put(...fileRow(path));
  if (layout !== 'shared') return;
  const epoch = epochAfter(epochOf(system), clock.wallMs());
  void system.put(...epochRow(epoch));
  shards.startEpoch(epoch);
  log?.notice('store was restored: its shards go on in a new epoch', { path, epoch: epoch.toString() });
}

/** Of a new store there are none: its tables are not made before its format is written. */
function metaRows(engine: LmdbEngine): (prefix: string) => Iterable<MetaEntry> {
  return (prefix) => (engine.hasTable('meta') ? listStored(engine.table('meta'), prefix) : []);
}

function logTables(engine: LmdbEngine, layout: LmdbLayout): LogTables {
  const tables = {
    shards: engine.table('shards'),
    lanes: engine.table('lanes'),
    dropped: engine.table('dropped'),
    births: engine.table('system'),
  };
  if (layout === 'perShard') {
    return { ...tables, isPerShard: true, blocksOf: (no) => engine.table(`log/${no}`, true) };
  }
  const blocks = engine.table('log');
  return { ...tables, isPerShard: false, blocksOf: () => blocks };
}

/** A table that the books know and nobody finds would be made anew, empty. */
function checkTables(engine: LmdbEngine, path: string): void {
  const { listed, booked } = engine.tableCounts();
  if (listed !== booked) throw damagedStore(path, `it has ${booked} tables, ${listed} can be found`);
}

/** Before any position is given out: what was found is all there is, or positions and ordinals would be given twice. */
function checkCounts(engine: LmdbEngine, path: string, census: LogCensus, layout: LmdbLayout): void {
  const counts = [
    ['shards', census.shards],
    ['lanes', census.lanes],
    ['dropped', census.dropped],
  ] as const;
  const blocks: readonly (readonly [string, number])[] =
    layout === 'shared'
      ? [['log', [...census.blocks.values()].reduce((sum, count) => sum + count, census.droppedBlocks)]]
      : [...census.blocks].map(([no, count]) => [`log/${no}`, count]);
  for (const [table, found] of [...counts, ...blocks]) {
    const booked = engine.entryCount(table);
    if (booked === found) continue;
    throw damagedStore(
      path,
      `the table ${table} has ${booked} rows by the file's own books, ${found} can be reached`,
    );
  }
}
