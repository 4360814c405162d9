// Ordered tables in memory whose commits fail, hang or wait as a test says: the embedded engine's logic without its file.
import { TributaryError } from '../../stream/errors.ts';
import type { Clock } from '../../stream/ports.ts';
import type { Row, Table } from '../../storage/lmdb/batch.ts';
import { Committer } from '../../storage/lmdb/committer.ts';
import type { CommitterOptions, Engine } from '../../storage/lmdb/committer.ts';
import { LmdbMeta } from '../../storage/lmdb/lmdb-meta.ts';
import { LmdbShardLog } from '../../storage/lmdb/lmdb-shard-log.ts';

export class FakeDisk implements Engine {
  /** Transactions carried out, with the number of writes in each. */
  readonly commits: number[] = [];
  #pending: (() => void)[] = [];
  #next: TributaryError | 'hang' | null = null;
  #times = 0;
  #isHeldBehind = false;
  #gate: Promise<void> | null = null;

  /** `times` 0: no more. */
  failNext(code: 'STORAGE_FULL' | 'STORAGE_FAILED', times = 1): void {
    this.#next = times === 0 ? null : new TributaryError(code, 'as the test said');
    this.#times = times;
  }

  hangNext(): void {
    this.#next = 'hang';
  }

  /** Commits wait until the returned function is called: before they change anything, or behind it, unreported. */
  hold(when: 'before' | 'behind' = 'before'): () => void {
    this.#isHeldBehind = when === 'behind';
    let release = (): void => undefined;
    this.#gate = new Promise((resolve) => {
      release = resolve;
    });
    return () => {
      this.#gate = null;
      release();
    };
  }

  async transact(write: () => readonly Promise<boolean>[]): Promise<void> {
    this.#pending = [];
    void write();
    const changes = this.#pending;
    const outcome = this.#next;
    this.#times -= 1;
    if (this.#times <= 0) this.#next = null;
    if (!this.#isHeldBehind) await this.#gate;
    if (outcome === 'hang') await new Promise(() => undefined);
    if (outcome instanceof TributaryError) throw outcome;
    for (const change of changes) change();
    this.commits.push(changes.length);
    if (this.#isHeldBehind) await this.#gate;
  }

  table(): Table {
    const rows = new Map<string, Row>();
    const from = (start: Uint8Array, limit: number) =>
      [...rows.values()]
        .filter(({ key }) => Buffer.compare(key, start) >= 0)
        .toSorted((a, b) => Buffer.compare(a.key, b.key))
        .slice(0, limit);
    const change = (apply: () => void) => {
      this.#pending.push(apply);
      return Promise.resolve(true);
    };
    return {
      get: (key) => rows.get(idOf(key))?.value,
      range: from,
      keys: (start, limit) => from(start, limit).map(({ key }) => key),
      put: (key, value) => change(() => void rows.set(idOf(key), { key, value })),
      remove: (key) => change(() => void rows.delete(idOf(key))),
      drop: () => change(() => rows.clear()),
      treePages: () => rows.size,
    };
  }
}

export interface FakeStore {
  readonly disk: FakeDisk;
  readonly committer: Committer;
  readonly log: LmdbShardLog;
  readonly meta: LmdbMeta;
}

export function openFakeStore(clock: Clock, options: Partial<CommitterOptions> = {}): FakeStore {
  const disk = new FakeDisk();
  const committer = new Committer(disk, { commitMsMax: 10_000, lazyMs: 10_000, ...options });
  const blocks = disk.table();
  const meta = new LmdbMeta(committer, disk.table(), disk.table());
  const tables = {
    shards: disk.table(),
    lanes: disk.table(),
    dropped: disk.table(),
    births: disk.table(),
    isPerShard: false,
    blocksOf: () => blocks,
  };
  return { disk, committer, meta, log: new LmdbShardLog(committer, tables, meta, clock) };
}

function idOf(key: Uint8Array): string {
  return Buffer.from(key).toString('latin1');
}
