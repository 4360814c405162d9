// What a store file says of itself: the version of its format, its layout, the epoch its shards write in, and which file
// it was when it was last opened. docs/FORMAT.md has the versions.
import { statSync } from 'node:fs';
import { programVersion } from '../../runtime/program-version.ts';
import { TributaryError } from '../../stream/errors.ts';
import type { Table } from './batch.ts';

/**
 * `shared`: all blocks in one table, for many shards. `perShard`: a table for each, only ever appended to, which writes
 * less to a card; at most about 1,000 shards.
 */
export type LmdbLayout = 'shared' | 'perShard';

export interface StoreFormat {
  readonly version: number;
  readonly layout: LmdbLayout;
  /** The version of the program that wrote this down; format 1 does not say. */
  readonly program?: string;
}

export const FORMAT_KEY = Buffer.from('format');
export const FORMAT_VERSION = 2;
/** The oldest that can be read as it is and brought to this one. */
export const FORMAT_VERSION_MIN = 1;
export const FIRST_EPOCH = 1n;
const EPOCH_KEY = Buffer.from('epoch');
const FILE_KEY = Buffer.from('file');
/** Between inode and time of birth. */
const BIRTH_MARK = ':'.charCodeAt(0);

export function decodeFormat(value: Uint8Array): StoreFormat {
  return JSON.parse(Buffer.from(value).toString()) as StoreFormat;
}

export function encodeFormat(layout: LmdbLayout): Uint8Array {
  const format: StoreFormat = { version: FORMAT_VERSION, layout, program: programVersion() };
  return Buffer.from(JSON.stringify(format));
}

/** Null: the file is new. Throws CONFIG_INVALID for another layout, and for the format of a later program. */
export function checkFormat(system: Table, path: string, layout: LmdbLayout): StoreFormat | null {
  const stored = system.get(FORMAT_KEY);
  if (stored === undefined) return null;
  const format = decodeFormat(stored);
  if (format.version > FORMAT_VERSION) throw new TributaryError('CONFIG_INVALID', laterText(path, format));
  if (format.version >= FORMAT_VERSION_MIN && format.layout === layout) return format;
  throw new TributaryError(
    'CONFIG_INVALID',
    `${path} has format ${format.version} and layout ${format.layout}; this program opens format ${FORMAT_VERSION} with layout ${layout}`,
  );
}

/** Of a file that a later program has written. */
export function laterText(path: string, { version, program = 'unknown' }: StoreFormat): string {
  return `${path} has format ${version}, written by Tributary ${program}; this is ${programVersion()}, which reads formats up to ${FORMAT_VERSION}: nothing was changed, start that version or a later one`;
}

export function epochOf(system: Table): bigint {
  const stored = system.get(EPOCH_KEY);
  return stored === undefined ? FIRST_EPOCH : BigInt(Buffer.from(stored).toString());
}

/**
 * Later than every epoch a copy of the store has gone on in: two restores of the same backup must not share one, so it is
 * taken from the clock where that is ahead.
 */
export function epochAfter(epoch: bigint, wallMs: number): bigint {
  const now = BigInt(Math.max(0, Math.floor(wallMs)));
  return now > epoch ? now : epoch + 1n;
}

export function epochRow(epoch: bigint): readonly [Buffer, Buffer] {
  return [EPOCH_KEY, Buffer.from(epoch.toString())];
}

interface FileStatus {
  readonly ino: bigint;
  readonly birthtimeNs: bigint;
  readonly ctimeNs: bigint;
}

/**
 * Says which file `path` is: a copy is another one, a file that was moved is not. A copy may get the inode of a file that
 * was removed, but not its time of birth.
 */
export function fileRow(path: string): readonly [Buffer, Buffer] {
  const status = statSync(path, { bigint: true });
  const birth = birthOf(status);
  return [FILE_KEY, Buffer.from(birth === null ? `${status.ino}` : `${status.ino}:${birth}`)];
}

/** `stored`: as fileRow has it. What one of the two does not say tells nothing. */
export function isSameFile(stored: string, status: FileStatus): boolean {
  const [ino, birth] = stored.split(':');
  if (ino !== status.ino.toString()) return false;
  const known = birthOf(status);
  return birth === undefined || known === null || birth === known.toString();
}

/** Null: the file system does not keep it, or the kernel does not say it; then Node gives the last change in its place. */
function birthOf({ birthtimeNs, ctimeNs }: FileStatus): bigint | null {
  return birthtimeNs <= 0n || birthtimeNs === ctimeNs ? null : birthtimeNs;
}

/** Whether as much of the file is written down as can be known. */
export function isNoted(system: Table, path: string): boolean {
  const stored = system.get(FILE_KEY);
  if (stored === undefined) return false;
  return stored.includes(BIRTH_MARK) || !fileRow(path)[1].includes(BIRTH_MARK);
}

/** Whether the file is a copy of the one it was when it was last opened. Format 1 does not say. */
export function isCopy(system: Table, path: string): boolean {
  const stored = system.get(FILE_KEY);
  if (stored === undefined) return false;
  return !isSameFile(Buffer.from(stored).toString(), statSync(path, { bigint: true }));
}
