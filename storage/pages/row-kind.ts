// Which table a row is of, told from the row alone: for pages that no table leads to any more.
import { decodeEntry, storedKey } from '../meta-entry.ts';
import { COPIED_KEY, copiedKey, decodeCopied, isCopyRow } from '../meta-copy.ts';
import { bornLaneKey, decodeBirth, isBirth } from '../lmdb/shard-birth.ts';
import { commitOf, decodeLane, noOf } from '../shard-keys.ts';
import { decodeShardRow } from '../lmdb/shard-row.ts';
import { homeOf, readEnvelope, storedLengthOf } from '../lmdb/stored-block.ts';
import { FORMAT_KEY, decodeFormat } from '../lmdb/store-format.ts';

export const ROW_TABLES = ['system', 'shards', 'lanes', 'dropped', 'meta'] as const;
export type RowTable = (typeof ROW_TABLES)[number];
export type RowKind = RowTable | 'blocks';

const BLOCK_KEY_BYTES = 12;
const NO_BYTES = 4;
const SYSTEM_ROWS: Readonly<Record<string, (value: Buffer) => boolean>> = {
  [FORMAT_KEY.toString()]: (value) => decodeFormat(value).version > 0,
  revision: (value) => value.length === 8,
  epoch: (value) => /^\d{1,20}$/.test(value.toString()),
  file: () => true,
  [COPIED_KEY.toString()]: (value) => decodeCopied(value).length > 0,
};
const OWNER_PREFIX = 'owner/';

/** Null: it is a row of no table. */
export function kindOfRow(key: Buffer, value: Buffer): RowKind | null {
  const name = key.toString();
  const isSystem =
    name in SYSTEM_ROWS ||
    name.startsWith(OWNER_PREFIX) ||
    isBirth(key) ||
    isCopyRow(key) ||
    bornLaneKey(key) !== null;
  if (isSystem) return holds(() => isSystemRow(key, value)) ? 'system' : null;
  if (isBlock(key, value)) return 'blocks';
  if (holds(() => storedKey(decodeEntry(value).key).length === key.length && isMeta(key, value)))
    return 'meta';
  if (key.includes(0) && holds(() => decodeShardRow(value).no > 0)) return 'shards';
  if (key.length === NO_BYTES) return value.length === 1 ? 'dropped' : null;
  return key.length > NO_BYTES && holds(() => decodeLane(value).last > 0n) ? 'lanes' : null;
}

function isSystemRow(key: Buffer, value: Buffer): boolean {
  if (isBirth(key)) return decodeShardRow(decodeBirth(value).value).no > 0;
  if (isCopyRow(key)) return isMeta(copiedKey(key), value);
  return SYSTEM_ROWS[key.toString()]?.(value) ?? true;
}

function isBlock(key: Buffer, value: Buffer): boolean {
  if (key.length !== BLOCK_KEY_BYTES || !holds(() => readEnvelope(value).recordCount >= 0)) return false;
  const home = homeOf(value);
  if (home === null) return true;
  const isLong = readEnvelope(value).isLost || storedLengthOf(value) === value.length;
  return isLong && home.shardNo === noOf(key) && home.commit === commitOf(key);
}

function isMeta(key: Buffer, value: Buffer): boolean {
  return Buffer.from(storedKey(decodeEntry(value).key)).equals(key);
}

/** What does not decode throws in many ways. */
function holds(test: () => boolean): boolean {
  try {
    return test();
  } catch {
    return false;
  }
}
