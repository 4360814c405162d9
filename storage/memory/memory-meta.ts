// Meta in a Map. The feed of changes is the one every engine has.
import { TributaryError } from '../../stream/errors.ts';
import { META_VALUE_BYTES_MAX } from '../../stream/limits.ts';
import type { Expected, Meta, MetaChange, MetaEntry, MetaEvent } from '../../stream/ports.ts';
import type { MemoryDisk } from './memory-disk.ts';
import { MetaFeed } from '../meta-feed.ts';

export class MemoryMeta implements Meta {
  readonly #disk: MemoryDisk;
  readonly #entries = new Map<string, MetaEntry>();
  readonly #feed = new MetaFeed(0n);
  #revision = 0n;

  constructor(disk: MemoryDisk) {
    this.#disk = disk;
  }

  async get(key: string): Promise<MetaEntry | null> {
    this.#disk.checkRead();
    return this.#entries.get(key) ?? null;
  }

  async put(key: string, value: Uint8Array, expected: Expected): Promise<bigint> {
    this.#disk.checkWrite();
    this.#expect(key, expected);
    this.checkChange({ key, value });
    return this.apply({ key, value });
  }

  putLazy(key: string, value: Uint8Array | null): void {
    this.#disk.checkRead();
    this.checkChange({ key, value });
    if (value !== null || this.#entries.has(key)) this.apply({ key, value });
  }

  async del(key: string, expected: Expected): Promise<void> {
    this.#disk.checkWrite();
    this.#expect(key, expected);
    if (this.#entries.has(key)) this.apply({ key, value: null });
  }

  async *list(prefix: string): AsyncGenerator<MetaEntry> {
    const keys = [...this.#entries.keys()].filter((key) => key.startsWith(prefix));
    for (const key of keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
      this.#disk.checkRead();
      const entry = this.#entries.get(key);
      if (entry !== undefined) yield entry;
    }
  }

  async *watch(prefix: string, signal: AbortSignal, fromRevision?: bigint): AsyncGenerator<MetaEvent> {
    const from = fromRevision ?? this.#revision;
    if (fromRevision === undefined) {
      for await (const entry of this.list(prefix)) {
        if (signal.aborted) return;
        if (entry.revision <= from) yield entry;
      }
    }
    yield* this.#feed.follow(prefix, from, signal);
  }

  /** Throws before anything of an append with side writes has happened. */
  checkChange({ key, value }: MetaChange): void {
    if (value === null || value.length <= META_VALUE_BYTES_MAX) return;
    throw new TributaryError('META_VALUE_TOO_LARGE', `the value of ${key} is too large`);
  }

  apply({ key, value }: MetaChange): bigint {
    this.#revision += 1n;
    const revision = this.#revision;
    const kept = value === null ? null : Uint8Array.from(value);
    if (kept === null) this.#entries.delete(key);
    else this.#entries.set(key, { key, value: kept, revision });
    this.#feed.push({ key, value: kept, revision });
    return revision;
  }

  close(): void {
    this.#feed.close(new TributaryError('STORAGE_CLOSED', 'the store is closed'));
  }

  #expect(key: string, expected: Expected): void {
    const revision = this.#entries.get(key)?.revision ?? 'absent';
    if (expected === 'any' || expected === revision) return;
    throw new TributaryError('META_CONFLICT', `${key} is at revision ${revision}, not ${expected}`, {
      details: { revision },
    });
  }
}
