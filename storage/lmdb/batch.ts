// What one commit changes. Decisions are taken one after the other against the disk and each other; a decision that
// throws leaves nothing behind.
import { assert } from '../../stream/errors.ts';
import { commitSize } from './commit-size.ts';
import type { CommitSize } from './commit-size.ts';

export interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** An ordered map on the disk. Reads see what is durable and return copies; writes belong into a transaction. */
export interface Table {
  get(key: Uint8Array): Uint8Array | undefined;
  /** Rows with keys from `start` on, in key order. */
  range(start: Uint8Array, limit: number): readonly Row[];
  /** As range, without reading the values. */
  keys(start: Uint8Array, limit: number): readonly Uint8Array[];
  /** False: the engine refused the key's place. */
  put(key: Uint8Array, value: Uint8Array): Promise<boolean>;
  remove(key: Uint8Array): Promise<boolean>;
  /** Removes the table itself; it must not be used again. */
  drop(): Promise<boolean>;
  /** Pages its keys are in. */
  treePages(): number;
}

/** What a decision may see and change. Sees the writes of the decisions before it. */
export interface Batch {
  get(table: Table, key: Uint8Array): Uint8Array | undefined;
  put(table: Table, key: Uint8Array, value: Uint8Array): void;
  /** Puts records: the batch needs the room that is held back from those that only delete. */
  append(table: Table, key: Uint8Array, value: Uint8Array): void;
  /** `isNext`: nothing is between it and the key that was deleted before it. */
  del(table: Table, key: Uint8Array, isNext?: boolean): void;
  drop(table: Table): void;
  /** Runs when the batch is durable, before anybody is told. */
  onDurable(effect: () => void): void;
  /** Runs when the batch failed: takes back what the decision changed in memory. */
  onFailed(effect: () => void): void;
}

/** Decides synchronously. Must not change anything in memory before its last throw. */
export type Decide<T> = (batch: Batch) => T;

/** The engine would throw at a longer key in the middle of a transaction, and commit the half before it. */
export const KEY_BYTES_MAX = 1_900;

interface Write {
  readonly table: Table;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly isNext: boolean;
}

export class OpenBatch implements Batch {
  readonly #tables = new Map<Table, Map<string, Write>>();
  readonly #drops: Table[] = [];
  readonly #durable: (() => void)[] = [];
  readonly #failed: (() => void)[] = [];
  #isGrowing = false;
  #staged = new Staged();

  /** The decision's writes and effects count only if it does not throw. */
  decide<T>(decide: Decide<T>): T {
    this.#staged = new Staged();
    const result = decide(this);
    for (const write of this.#staged.writes) this.#keep(write);
    this.#isGrowing ||= this.#staged.isGrowing;
    this.#drops.push(...this.#staged.drops);
    this.#durable.push(...this.#staged.durable);
    this.#failed.push(...this.#staged.failed);
    return result;
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    const id = idOf(key);
    const staged = this.#staged.writes.findLast((write) => write.table === table && idOf(write.key) === id);
    const write = staged ?? this.#tables.get(table)?.get(id);
    return write === undefined ? table.get(key) : (write.value ?? undefined);
  }

  put(table: Table, key: Uint8Array, value: Uint8Array): void {
    this.#stage({ table, key, value, isNext: false });
  }

  append(table: Table, key: Uint8Array, value: Uint8Array): void {
    this.put(table, key, value);
    this.#staged.isGrowing = true;
  }

  del(table: Table, key: Uint8Array, isNext = false): void {
    this.#stage({ table, key, value: null, isNext });
  }

  drop(table: Table): void {
    this.#staged.drops.push(table);
  }

  onDurable(effect: () => void): void {
    this.#staged.durable.push(effect);
  }

  onFailed(effect: () => void): void {
    this.#staged.failed.push(effect);
  }

  get isEmpty(): boolean {
    return this.#tables.size === 0 && this.#drops.length === 0;
  }

  /** What it may take of the disk. */
  get size(): CommitSize {
    const tables = [...this.#tables].map(([table, writes]) => [table, writes.values()] as const);
    return commitSize(tables, this.#drops.length, this.#isGrowing);
  }

  /** Hands every change to the engine, in one go: it is called inside a transaction. */
  write(): Promise<boolean>[] {
    const writes = [...this.#tables.values()].flatMap((table) => [...table.values()]);
    return [
      ...writes.map(({ table, key, value }) => (value === null ? table.remove(key) : table.put(key, value))),
      ...this.#drops.map((table) => table.drop()),
    ];
  }

  durable(): void {
    for (const effect of this.#durable) effect();
  }

  failed(): void {
    for (const effect of this.#failed.toReversed()) effect();
  }

  #stage(write: Write): void {
    assert(write.key.length >= 1 && write.key.length <= KEY_BYTES_MAX, 'a key has 1..1,900 bytes');
    this.#staged.writes.push(write);
  }

  #keep(write: Write): void {
    const table = this.#tables.get(write.table) ?? new Map<string, Write>();
    this.#tables.set(write.table, table);
    table.set(idOf(write.key), write);
  }
}

class Staged {
  isGrowing = false;
  readonly writes: Write[] = [];
  readonly drops: Table[] = [];
  readonly durable: (() => void)[] = [];
  readonly failed: (() => void)[] = [];
}

function idOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1');
}
