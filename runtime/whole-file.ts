// Files that are there whole or not at all, whenever the power goes: made under another name, and given their own when
// all of them is on the disk.
import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const INFIX = '.new-';

/** Where to make the file that will be `path`. */
export function nameToMake(path: string): string {
  return `${path}${INFIX}${randomUUID()}`;
}

/**
 * Gives a finished file its name, durably. Answers false when another one has it already: that one stays, because
 * somebody may be using it.
 */
export function giveName(made: string, path: string): boolean {
  syncPath(made);
  const isGiven = link(made, path);
  rmSync(made);
  syncPath(dirname(path));
  return isGiven;
}

/** An empty file whose being there says something. On the disk when it returns; one that is there stays. */
export function makeMarker(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600));
  } catch (error) {
    if (!isThere(error)) throw error;
  }
  syncPath(path);
  syncPath(dirname(path));
}

/** Removes what a crash left unfinished, or finished under both names. */
export function removeUnfinished(path: string): void {
  const folder = dirname(path);
  const prefix = basename(path) + INFIX;
  for (const name of readdirSync(folder)) if (name.startsWith(prefix)) rmSync(join(folder, name));
}

/** Of a folder: its names are on the disk then. */
export function syncPath(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function link(made: string, path: string): boolean {
  try {
    linkSync(made, path);
    return true;
  } catch (error) {
    if (isThere(error)) return false;
    throw error;
  }
}

function isThere(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EEXIST';
}
