// Meta on LMDB: one dbi, revisions from one counter, both in the store's commits.
import { createHash } from 'node:crypto';
import { TributaryError } from '../stream/errors.ts';
import { META_KEY_BYTES_MAX, META_VALUE_BYTES_MAX } from '../stream/limits.ts';
import type { Expected, Meta, MetaChange, MetaEntry, MetaEvent } from '../stream/ports.ts';
import type { Batch, Committer, Table } from './committer.ts';
import { MetaFeed } from './meta-feed.ts';

export interface MetaTable extends Table {
  /** Values with keys from `start` on, in key order. */
  range(start: Uint8Array, limit: number): { readonly key: Uint8Array; readonly value: Uint8Array }[];
}

const REVISION_KEY = Buffer.from('revision');
const HEAD_BYTES = 10;
const LIST_PAGE = 256;
const HASHED_PREFIX_BYTES = 440;

export class LmdbMeta implements Meta {
  readonly #committer: Committer;
  readonly #table: MetaTable;
  readonly #system: Table;
  readonly #feed: MetaFeed;
  readonly #lazy = new Map<string, Uint8Array | null>();
  #revision: bigint;

  constructor(committer: Committer, table: MetaTable, system: Table) {
    this.#committer = committer;
    this.#table = table;
    this.#system = system;
    const stored = system.get(REVISION_KEY);
    this.#revision = stored === undefined ? 0n : Buffer.from(stored).readBigUInt64BE();
    this.#feed = new MetaFeed(this.#revision);
  }

  get(key: string): Promise<MetaEntry | null> {
    const lazy = this.#lazy.get(key);
    const stored = this.#table.get(storedKey(key));
    const entry = stored === undefined ? null : decodeEntry(stored);
    if (lazy === undefined) return Promise.resolve(entry);
    if (lazy === null) return Promise.resolve(null);
    return Promise.resolve({ key, value: lazy, revision: entry?.revision ?? 0n });
  }

  put(key: string, value: Uint8Array, expected: Expected): Promise<bigint> {
    return this.#committer.submit((batch) => {
      this.#expect(batch, key, expected);
      return this.change(batch, { key, value });
    });
  }

  putLazy(key: string, value: Uint8Array | null): void {
    if (value !== null) checkValue(key, value);
    const isStaged = this.#lazy.has(key);
    this.#lazy.set(key, value);
    if (isStaged) return;
    this.#committer.stage((batch) => {
      const latest = this.#lazy.get(key);
      if (latest === undefined) return;
      this.change(batch, { key, value: latest });
      batch.onDurable(() => {
        if (this.#lazy.get(key) === latest) this.#lazy.delete(key);
        else this.#restage(key);
      });
    });
  }

  async del(key: string, expected: Expected): Promise<void> {
    await this.#committer.submit((batch) => {
      this.#expect(batch, key, expected);
      if (batch.get(this.#table, storedKey(key)) !== undefined) this.change(batch, { key, value: null });
    });
  }

  async *list(prefix: string): AsyncGenerator<MetaEntry> {
    const prefixKey = storedKey(prefix).subarray(0, HASHED_PREFIX_BYTES);
    let start: Uint8Array = prefixKey;
    for (;;) {
      const rows = this.#table.range(start, LIST_PAGE);
      for (const { key, value } of rows) {
        if (!Buffer.from(key).subarray(0, prefixKey.length).equals(prefixKey)) return;
        const entry = decodeEntry(value);
        if (entry.key.startsWith(prefix)) yield entry;
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < LIST_PAGE) return;
      start = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  async *watch(prefix: string, signal: AbortSignal, fromRevision?: bigint): AsyncGenerator<MetaEvent> {
    const from = fromRevision ?? this.#revision;
    if (fromRevision === undefined) {
      for await (const entry of this.list(prefix)) {
        // What changed while listing comes again below, in order.
        if (entry.revision <= from) yield entry;
      }
    }
    yield* this.#feed.follow(prefix, from, signal);
  }

  /** A change without expectation, in the caller's batch. Returns its revision. */
  change(batch: Batch, { key, value }: MetaChange): bigint {
    if (value !== null) checkValue(key, value);
    const revision = this.#nextRevision(batch);
    if (value === null) batch.del(this.#table, storedKey(key));
    else batch.put(this.#table, storedKey(key), encodeEntry(key, value, revision));
    batch.onDurable(() => {
      this.#revision = revision;
      this.#feed.push({ key, value, revision });
    });
    return revision;
  }

  #restage(key: string): void {
    const value = this.#lazy.get(key);
    this.#lazy.delete(key);
    if (value !== undefined) this.putLazy(key, value);
  }

  #nextRevision(batch: Batch): bigint {
    const stored = batch.get(this.#system, REVISION_KEY);
    const revision = (stored === undefined ? 0n : Buffer.from(stored).readBigUInt64BE()) + 1n;
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(revision);
    batch.put(this.#system, REVISION_KEY, bytes);
    return revision;
  }

  #expect(batch: Batch, key: string, expected: Expected): void {
    if (expected === 'any') return;
    const stored = batch.get(this.#table, storedKey(key));
    const revision = stored === undefined ? 'absent' : decodeEntry(stored).revision;
    if (revision === expected) return;
    throw new TributaryError(
      'META_CONFLICT',
      `${key} is at revision ${revision}, not ${expected}; read it again`,
      { details: { revision } },
    );
  }
}

function checkValue(key: string, value: Uint8Array): void {
  if (value.length <= META_VALUE_BYTES_MAX) return;
  const text = `the value of ${key.slice(0, 64)} has ${value.length} bytes, at most ${META_VALUE_BYTES_MAX} are kept`;
  throw new TributaryError('META_VALUE_TOO_LARGE', text);
}

function storedKey(key: string): Uint8Array {
  const bytes = Buffer.from(key);
  if (bytes.length <= META_KEY_BYTES_MAX) return bytes;
  const digest = createHash('sha256').update(bytes).digest('hex');
  return Buffer.concat([bytes.subarray(0, HASHED_PREFIX_BYTES), Buffer.from(`#${digest}`)]);
}

function encodeEntry(key: string, value: Uint8Array, revision: bigint): Uint8Array {
  const name = Buffer.from(key);
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeBigUInt64BE(revision);
  head.writeUInt16BE(name.length, 8);
  return Buffer.concat([head, name, value]);
}

function decodeEntry(stored: Uint8Array): MetaEntry {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const end = HEAD_BYTES + bytes.readUInt16BE(8);
  return {
    key: bytes.toString('utf8', HEAD_BYTES, end),
    value: bytes.subarray(end),
    revision: bytes.readBigUInt64BE(),
  };
}
