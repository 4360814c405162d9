// Meta on ordered tables: revisions from one counter, both in the store's commits.
import { TributaryError } from '../../stream/errors.ts';
import type { Expected, Meta, MetaChange, MetaEntry, MetaEvent } from '../../stream/ports.ts';
import type { Batch, Table } from './batch.ts';
import type { Committer } from './committer.ts';
import { copyKey, isCopied } from '../meta-copy.ts';
import { LazyValues, UNSTORED_REVISION } from './lazy-values.ts';
import type { LazyValue } from './lazy-values.ts';
import { checkValue, decodeEntry, encodeEntry, storedKey } from '../meta-entry.ts';
import { MetaFeed } from '../meta-feed.ts';
import { listStored } from '../meta-list.ts';

const REVISION_KEY = Buffer.from('revision');

export class LmdbMeta implements Meta {
  readonly #committer: Committer;
  readonly #table: Table;
  readonly #system: Table;
  readonly #copied: readonly string[];
  readonly #feed: MetaFeed;
  readonly #lazy = new LazyValues();
  #revision: bigint;
  #closed: TributaryError | null = null;

  /** `copied`: starts of the keys whose entries are kept a second time. */
  constructor(committer: Committer, table: Table, system: Table, copied: readonly string[] = []) {
    this.#copied = copied;
    this.#committer = committer;
    this.#table = table;
    this.#system = system;
    this.#revision = revisionOf(system.get(REVISION_KEY));
    this.#feed = new MetaFeed(this.#revision);
  }

  async get(key: string): Promise<MetaEntry | null> {
    this.#checkOpen();
    return withLazy(key, this.#table.get(storedKey(key)), this.#lazy.get(key));
  }

  async put(key: string, value: Uint8Array, expected: Expected): Promise<bigint> {
    return this.#committer.submit((batch) => {
      this.#expect(batch, key, expected);
      return this.change(batch, { key, value });
    });
  }

  putLazy(key: string, value: Uint8Array | null): void {
    this.#checkOpen();
    if (value !== null) checkValue(key, value);
    const lazy = this.#lazy.set(key, value === null ? null : Uint8Array.from(value));
    this.#committer.stage(key, (batch) => {
      // Only the newest is written, and not over what was durably written behind it.
      if (this.#lazy.get(key) !== lazy || lazy.isVoid) return;
      if (lazy.value !== null || batch.get(this.#table, storedKey(key)) !== undefined)
        this.change(batch, { key, value: lazy.value });
      else batch.onDurable(() => this.#lazy.settle(key, lazy));
    });
  }

  async del(key: string, expected: Expected): Promise<void> {
    await this.#committer.submit((batch) => {
      this.#expect(batch, key, expected);
      const isStored = batch.get(this.#table, storedKey(key)) !== undefined;
      if (isStored || this.#lazy.get(key) !== undefined) this.change(batch, { key, value: null });
    });
  }

  async *list(prefix: string): AsyncGenerator<MetaEntry> {
    for (const entry of this.#lazy.over(listStored(this.#table, prefix), prefix)) {
      yield entry;
      this.#checkOpen();
    }
  }

  async *watch(prefix: string, signal: AbortSignal, fromRevision?: bigint): AsyncGenerator<MetaEvent> {
    const from = fromRevision ?? this.#revision;
    if (fromRevision === undefined) {
      for await (const entry of this.list(prefix)) {
        if (signal.aborted) return;
        // What changed while listing comes again below, in order.
        if (entry.revision <= from) yield entry;
      }
    }
    yield* this.#feed.follow(prefix, from, signal);
  }

  /** A change without expectation, in the caller's batch. Returns its revision. */
  change(batch: Batch, { key, value }: MetaChange): bigint {
    if (value !== null) checkValue(key, value);
    const revision = revisionOf(batch.get(this.#system, REVISION_KEY)) + 1n;
    batch.put(this.#system, REVISION_KEY, revisionBytes(revision));
    // Watchers get what was stored: the caller may use its buffer again.
    const stored = value === null ? null : encodeEntry(key, value, revision);
    if (stored === null) batch.del(this.#table, storedKey(key));
    else batch.put(this.#table, storedKey(key), stored);
    if (isCopied(key, this.#copied)) this.#copy(batch, key, stored);
    this.#void(batch, key);
    batch.onDurable(() => {
      this.#revision = revision;
      this.#feed.push({ key, value: stored === null ? null : decodeEntry(stored).value, revision });
    });
    return revision;
  }

  /** Readers are refused, watchers wake up to be refused. */
  close(): void {
    this.#closed ??= new TributaryError('STORAGE_CLOSED', 'the store is closed');
    this.#feed.close(this.#closed);
  }

  #copy(batch: Batch, key: string, stored: Uint8Array | null): void {
    if (stored === null) batch.del(this.#system, copyKey(key));
    else batch.put(this.#system, copyKey(key), stored);
  }

  #void(batch: Batch, key: string): void {
    const lazy = this.#lazy.get(key);
    if (lazy === undefined) return;
    batch.onDurable(() => this.#lazy.settle(key, lazy));
    batch.onFailed(() => {
      lazy.isVoid = false;
    });
    lazy.isVoid = true;
  }

  #expect(batch: Batch, key: string, expected: Expected): void {
    if (expected === 'any') return;
    const lazy = this.#lazy.get(key);
    const entry = withLazy(
      key,
      batch.get(this.#table, storedKey(key)),
      lazy?.isVoid === true ? undefined : lazy,
    );
    const revision = entry === null ? 'absent' : entry.revision;
    if (revision === expected) return;
    throw new TributaryError(
      'META_CONFLICT',
      `${key} is at revision ${revision}, not ${expected}; read it again`,
      { details: { revision } },
    );
  }

  #checkOpen(): void {
    if (this.#closed !== null) throw this.#closed;
  }
}

/** An entry with the lazy value over it. */
function withLazy(
  key: string,
  stored: Uint8Array | undefined,
  lazy: LazyValue | undefined,
): MetaEntry | null {
  const entry = stored === undefined ? null : decodeEntry(stored);
  if (lazy === undefined) return entry;
  if (lazy.value === null) return null;
  return { key, value: lazy.value, revision: entry?.revision ?? UNSTORED_REVISION };
}

function revisionOf(stored: Uint8Array | undefined): bigint {
  return stored === undefined ? 0n : Buffer.from(stored).readBigUInt64BE();
}

function revisionBytes(revision: bigint): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(revision);
  return bytes;
}
