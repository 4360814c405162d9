// Listing a prefix of the stored map in key order, a page at a time, so that no read transaction stays open.
import type { MetaEntry } from '../stream/ports.ts';
import type { Row, Table } from './lmdb/batch.ts';
import { ORDERED_KEY_BYTES, compareKeys, decodeEntry, storedPrefix } from './meta-entry.ts';

const ROWS_PER_PAGE = 256;
const PAGE_BYTES_MAX = 16 * 1024 * 1024;

/** Stored entries whose key starts with `prefix`. */
export function* listStored(table: Table, prefix: string): Generator<MetaEntry> {
  const start = storedPrefix(prefix);
  // Hashed keys that share all that is ordered are put in order here.
  let group: MetaEntry[] = [];
  let groupKey: Buffer | null = null;
  for (const { key, value } of rowsFrom(table, start)) {
    if (!key.subarray(0, start.length).equals(start)) break;
    const ordered = key.subarray(0, ORDERED_KEY_BYTES);
    if (groupKey === null || !ordered.equals(groupKey)) {
      yield* group.toSorted((a, b) => compareKeys(a.key, b.key));
      group = [];
    }
    groupKey = ordered;
    const entry = decodeEntry(value);
    if (!entry.key.startsWith(prefix)) continue;
    if (key.length < ORDERED_KEY_BYTES) yield entry;
    else group.push(entry);
  }
  yield* group.toSorted((a, b) => compareKeys(a.key, b.key));
}

function* rowsFrom(table: Table, from: Buffer): Generator<{ key: Buffer; value: Uint8Array }> {
  let start: Uint8Array = from.length === 0 ? Buffer.of(0) : from;
  let limit = ROWS_PER_PAGE;
  for (;;) {
    const rows = table.range(start, limit);
    for (const { key, value } of rows) yield { key: Buffer.from(key), value };
    const last = rows.at(-1);
    if (last === undefined || rows.length < limit) return;
    limit = nextLimit(rows);
    start = Buffer.concat([last.key, Buffer.of(0)]);
  }
}

/** Values may be large: as many rows as fit the page, going by the rows just read. */
function nextLimit(rows: readonly Row[]): number {
  const bytes = rows.reduce((sum, row) => sum + row.value.length, 0);
  const perRow = Math.max(1, Math.ceil(bytes / rows.length));
  return Math.max(1, Math.min(ROWS_PER_PAGE, Math.floor(PAGE_BYTES_MAX / perRow)));
}
