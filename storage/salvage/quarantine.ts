// Takes a damaged store out of the way and puts the salvaged one in its place, so that at no moment there is neither: a
// second name for the damaged file first, then one rename.
import { existsSync, linkSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { syncFile } from '../lmdb/format-migration.ts';

const LOCK_SUFFIX = '-lock';
const NAMES_MAX = 1_000;

/** Names beside a store while it is repaired. */
export function salvagingPath(path: string): string {
  return `${path}.salvaging-${process.pid}`;
}

/** Whole, on the disk, and not in its place yet. */
function salvagedPath(path: string): string {
  return `${path}.salvaged`;
}

/** Quarantined stores, the oldest first. */
export function quarantined(path: string): string[] {
  const prefix = `${basename(path)}.damaged-`;
  return namesBeside(path)
    .filter((name) => name.startsWith(prefix) && !name.endsWith(LOCK_SUFFIX))
    .toSorted()
    .map((name) => join(dirname(path), name));
}

/** Clears away what a program left that was ended while it salvaged, and goes on with what it had finished. */
export function resumeSwap(path: string): void {
  for (const name of namesBeside(path)) {
    if (name.startsWith(`${basename(path)}.salvaging-`)) rmSync(join(dirname(path), name), { force: true });
  }
  const salvaged = salvagedPath(path);
  if (!existsSync(salvaged)) return;
  // Beside the damaged one it is of an attempt that went no further: that is made anew.
  if (existsSync(path)) rmSync(salvaged);
  else renameSync(salvaged, path);
  syncFile(dirname(path));
}

/** `from` is the salvaged store, whole and on the disk. Answers the name the one before has now, null when there was none. */
export function swapStores(path: string, from: string, wallMs: number): string | null {
  renameSync(from, salvagedPath(path));
  syncFile(dirname(path));
  const name = existsSync(path) ? quarantine(path, wallMs) : null;
  renameSync(salvagedPath(path), path);
  syncFile(dirname(path));
  return name;
}

function quarantine(path: string, wallMs: number): string {
  const { ino } = statSync(path);
  const known = quarantined(path).find((file) => statSync(file).ino === ino);
  if (known !== undefined) return known;
  const name = freeName(path, wallMs);
  try {
    linkSync(path, name);
  } catch {
    // A file system without second names: for a moment there is neither, and resumeSwap knows.
    renameSync(path, name);
  }
  const lock = `${path}${LOCK_SUFFIX}`;
  if (existsSync(lock)) renameSync(lock, `${name}${LOCK_SUFFIX}`);
  syncFile(dirname(path));
  return name;
}

function freeName(path: string, wallMs: number): string {
  const stamp = new Date(wallMs).toISOString().replace(/[-:]|\.\d+/g, '');
  for (let attempt = 1; attempt < NAMES_MAX; attempt += 1) {
    const name = `${path}.damaged-${stamp}${attempt === 1 ? '' : `-${attempt}`}`;
    if (!existsSync(name)) return name;
  }
  return `${path}.damaged-${stamp}-${process.pid}`;
}

function namesBeside(path: string): string[] {
  return existsSync(dirname(path)) ? readdirSync(dirname(path)) : [];
}
