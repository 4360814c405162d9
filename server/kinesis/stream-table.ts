// The rows of all streams: in memory as they are in Meta, found by name and by id.
import { ChangeSignal } from '../../storage/change-signal.ts';
import type { Change } from '../../storage/change-signal.ts';
import type { Meta } from '../../stream/ports.ts';
import { decodeStreamRow, encodeStreamRow } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';

const PREFIX = 'stream/';

export class StreamTable {
  readonly #meta: Meta;
  readonly #streams = new Map<string, { readonly row: StreamRow; readonly revision: bigint }>();
  /** Name of each stream's id. */
  readonly #names = new Map<string, string>();
  readonly #changes = new ChangeSignal();

  private constructor(meta: Meta) {
    this.#meta = meta;
  }

  static async open(meta: Meta): Promise<StreamTable> {
    const table = new StreamTable(meta);
    for await (const { value, revision } of meta.list(PREFIX)) table.#hold(decodeStreamRow(value), revision);
    return table;
  }

  /** Comes when a row is stored or removed. */
  nextChange(): Change {
    return this.#changes.next();
  }

  /** Sorted by name. */
  list(): StreamRow[] {
    return [...this.#streams.values()].map(({ row }) => row).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): StreamRow | undefined {
    return this.#streams.get(name)?.row;
  }

  byId(id: string): StreamRow | undefined {
    const name = this.#names.get(id);
    return name === undefined ? undefined : this.find(name);
  }

  /** Durable when resolved, and visible then. */
  async put(row: StreamRow): Promise<void> {
    const expected = this.#streams.get(row.name)?.revision ?? 'absent';
    this.#hold(row, await this.#meta.put(PREFIX + row.name, encodeStreamRow(row), expected));
  }

  async remove(row: StreamRow): Promise<void> {
    await this.#meta.del(PREFIX + row.name, this.#streams.get(row.name)?.revision ?? 'any');
    this.#streams.delete(row.name);
    this.#names.delete(row.id);
    this.#changes.raise();
  }

  #hold(row: StreamRow, revision: bigint): void {
    this.#streams.set(row.name, { row, revision });
    this.#names.set(row.id, row.name);
    this.#changes.raise();
  }
}
