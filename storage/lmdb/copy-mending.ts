// Keeps the second copies of the map's entries what the entries are, over every program that has had the store open: one
// that did not know of them may have left them behind, and salvage would bring back what they say.
import { isTributaryError } from '../../stream/errors.ts';
import {
  COPIED_KEY,
  copyKey,
  decodeCopied,
  encodeCopied,
  firstCopyKey,
  isCopied,
  isCopyRow,
} from '../meta-copy.ts';
import { decodeEntry, encodeEntry, storedKey } from '../meta-entry.ts';
import { listStored } from '../meta-list.ts';
import type { Table } from './batch.ts';
import type { Committer } from './committer.ts';

/** What one commit takes, so that it stays small beside the log's cap. */
const COMMIT_BYTES = 64 * 1024;
const ROWS_PER_PAGE = 256;
const ROW_BYTES = 64;
const FIRST_KEY = Buffer.of(0);

/** Starts of the keys that are copied: those that are written down, and `added`. Called in the transaction that claims. */
export function rememberCopied(system: Table, added: readonly string[]): void {
  const known = copiedOf(system);
  const all = [...new Set([...known, ...added])].toSorted();
  if (all.length > known.length) void system.put(COPIED_KEY, encodeCopied(all));
}

export function copiedOf(system: Table): readonly string[] {
  const stored = system.get(COPIED_KEY);
  return stored === undefined ? [] : decodeCopied(stored);
}

export interface Mending {
  readonly committer: Committer;
  readonly meta: Table;
  /** Rows of the map by the file's own books. */
  readonly metaRows: number;
  readonly system: Table;
  readonly prefixes: readonly string[];
}

interface Change {
  readonly key: Buffer;
  /** null: the entry is gone. */
  readonly value: Uint8Array | null;
}

/** Writes nothing when every copy is what it should be. False: there is no room now, the next opening goes on. */
export async function mendCopies(mending: Mending): Promise<boolean> {
  let waiting: Change[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const changes = waiting;
    waiting = [];
    bytes = 0;
    if (changes.length > 0) await commit(mending, changes);
  };
  try {
    for (const change of changesOf(mending)) {
      waiting.push(change);
      bytes += ROW_BYTES + (change.value?.length ?? 0);
      if (bytes >= COMMIT_BYTES) await flush();
    }
    await flush();
    return true;
  } catch (error) {
    if (isTributaryError(error, 'STORAGE_FULL')) return false;
    throw error;
  }
}

function commit({ committer, system }: Mending, changes: readonly Change[]): Promise<void> {
  return committer.submit((batch) => {
    for (const { key, value } of changes) {
      if (value === null) batch.del(system, key);
      else batch.put(system, key, value);
    }
  });
}

function* changesOf(mending: Mending): Generator<Change> {
  const { meta, system, prefixes } = mending;
  for (const prefix of prefixes) {
    for (const { key, value, revision } of listStored(meta, prefix)) {
      const stored = encodeEntry(key, value, revision);
      const copy = system.get(copyKey(key));
      if (copy === undefined || !Buffer.from(copy).equals(stored)) yield { key: copyKey(key), value: stored };
    }
  }
  const orphans = [...orphansOf(mending)];
  // Where rows of the map cannot be reached, their copies are all there is.
  if (orphans.length > 0 && meta.keys(FIRST_KEY, mending.metaRows + 1).length !== mending.metaRows) return;
  for (const key of orphans) yield { key, value: null };
}

/** Copies of entries that were deleted. */
function* orphansOf({ meta, system, prefixes }: Mending): Generator<Buffer> {
  for (let start = firstCopyKey(); ;) {
    const rows = system.range(start, ROWS_PER_PAGE);
    for (const { key, value } of rows) {
      if (!isCopyRow(key)) return;
      const { key: name } = decodeEntry(value);
      if (isCopied(name, prefixes) && meta.get(storedKey(name)) === undefined) yield Buffer.from(key);
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < ROWS_PER_PAGE) return;
    start = Buffer.concat([last.key, Buffer.of(0)]);
  }
}
